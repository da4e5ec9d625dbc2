import lightning as L
import pytest
import torch

from engine.commands.export import store_as


class Two(L.LightningModule):
    """A layer, and a counter that is no weight."""

    def __init__(self, greatest):
        super().__init__()
        self.layer = torch.nn.Linear(2, 1, bias=False)
        torch.nn.init.constant_(self.layer.weight, greatest)
        self.register_buffer("count", torch.tensor(3))


def test_weights_are_rounded_and_whole_numbers_stay():
    model = Two(1 / 3)
    store_as(model, "bfloat16")
    assert model.layer.weight.dtype == torch.bfloat16
    assert model.layer.weight[0, 0].item() == pytest.approx(1 / 3, rel=2**-8)
    assert model.count.dtype == torch.int64


def test_a_weight_that_does_not_fit_is_refused_by_name():
    with pytest.raises(ValueError, match=r"layer\.weight holds 7e\+04, which float16 cannot; take"):
        store_as(Two(70000.0), "float16")
    store_as(Two(70000.0), "bfloat16")


def test_what_was_infinite_already_is_not_blamed_on_the_dtype():
    model = Two(float("inf"))
    store_as(model, "float16")
    assert model.layer.weight.isinf().all()
