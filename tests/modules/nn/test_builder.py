"""What a system passes by position, and what a config gives, together build a network."""

import pytest
from jsonargparse import ArgumentError, ArgumentParser
from torch import nn

from modules.nn.builder import Builder

TwoSizes = Builder[[int, int], nn.Linear]


def built(builder, class_path, **options):
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--network", type=builder)
    spec = {"class_path": class_path, "init_args": options}
    return parser.instantiate(parser.parse_object({"network": spec})).network


def test_the_config_gives_the_options_and_the_system_the_rest():
    network = built(TwoSizes, "torch.nn.Linear", bias=False)(3, 4)
    assert (network.in_features, network.out_features, network.bias) == (3, 4, None)


def test_a_system_may_pass_nothing():
    sizes = {"in_features": 3, "out_features": 4}
    assert built(Builder[[], nn.Linear], "torch.nn.Linear", **sizes)().out_features == 4


def test_a_config_cannot_give_what_the_system_passes():
    with pytest.raises(ArgumentError, match="out_features"):
        built(TwoSizes, "torch.nn.Linear", out_features=4)


def test_another_network_than_the_systems_is_refused():
    with pytest.raises(ArgumentError, match="to be a subclass of"):
        built(TwoSizes, "torch.nn.Identity")
