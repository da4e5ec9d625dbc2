"""What a system passes by position, and what a config gives, together build a network."""

import pytest
from jsonargparse import ArgumentError, ArgumentParser

from modules.nn.builder import Builder
from modules.vq.quantiser import VectorQuantiser

CLASS_PATH = "modules.vq.quantiser.VectorQuantiser"
TwoSizes = Builder[[int, int], VectorQuantiser]


def built(builder, class_path=CLASS_PATH, **options):
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--network", type=builder)
    spec = {"class_path": class_path, "init_args": options}
    return parser.instantiate(parser.parse_object({"network": spec})).network


def test_the_config_gives_the_options_and_the_system_the_rest():
    network = built(TwoSizes, decay=0.5)(3, 4)
    assert (*network.code_KD.shape, network.decay) == (3, 4, 0.5)


def test_a_system_may_pass_nothing():
    network = built(Builder[[], VectorQuantiser], num_codes=3, code_size=4)()
    assert network.code_KD.shape == (3, 4)


def test_a_config_cannot_give_what_the_system_passes():
    with pytest.raises(ArgumentError, match="code_size"):
        built(TwoSizes, code_size=4)


def test_another_network_than_the_systems_is_refused():
    with pytest.raises(ArgumentError, match="to be a subclass of"):
        built(TwoSizes, "modules.vq.network.Residual")
