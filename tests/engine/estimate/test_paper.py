import pytest
from torch import Tensor, nn

from benchmarks.bench.from_config import configured
from callbacks.ema import EMA
from engine.estimate.paper import Exemplary, Holding, batch_of
from tests.fixtures.layers import CONFIGS


class NoExample:
    """Data that cannot say what a batch looks like."""

    def __init__(self):
        self.called = []

    def prepare_data(self):
        self.called.append("prepare")

    def setup(self, stage):
        self.called.append(stage)

    def train_dataloader(self):
        return [{"x": 1}]


def test_data_without_an_example_give_their_first_batch():
    data = NoExample()
    assert batch_of(data) == ({"x": 1}, 0)
    assert data.called == ["prepare", "fit"]


def test_averages_hold_four_bytes_a_trained_weight():
    module = nn.Linear(3, 5)
    module.bias.requires_grad_(False)
    assert isinstance(EMA(), Holding)
    assert EMA().held_bytes(module) == 4 * 15


@pytest.mark.slow
@pytest.mark.parametrize("name", ["causal_lm/tiny", "lmfusion/tiny", "p3sum/tiny"])
def test_an_example_looks_like_a_batch_of_the_data(name):
    data = configured([CONFIGS / f"{name}.yaml"], "--trainer.logger=false").datamodule
    assert isinstance(data, Exemplary)
    example, tokens = data.example()
    data.prepare_data()
    data.setup("fit")
    real = next(iter(data.train_dataloader()))
    assert set(example) == set(real)
    for key, value in real.items():
        assert type(example[key]) is type(value), key
        if isinstance(value, Tensor):
            assert (example[key].dtype, example[key].ndim) == (value.dtype, value.ndim), key
        if isinstance(value, dict):
            assert set(value) == set(example[key]), key
    assert tokens > 0
