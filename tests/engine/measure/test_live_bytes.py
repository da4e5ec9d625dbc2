import subprocess
import sys

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from engine.measure.live_bytes import (
    ACTIVATIONS,
    GRADIENTS,
    OPTIMIZER,
    SMALL,
    TEMPORARY,
    WEIGHTS,
    LiveBytes,
    fake_mode,
)
from engine.measure.paper_step import (
    ParameterSize,
    faked_batch,
    run_step,
    without_memory,
)

WIDTH, ROWS = 64, 32
SQUARE = 4 * WIDTH * WIDTH
"""Bytes of a weight."""
ACTIVATION = 4 * ROWS * WIDTH


class Stack(nn.Module):
    """Linear layers with a nonlinearity, computed again in backward or not."""

    def __init__(self, again: bool = False, device: str = "cpu"):
        super().__init__()
        self.layers = nn.ModuleList(
            nn.Linear(WIDTH, WIDTH, bias=False, device=device) for _ in range(3)
        )
        self.again = again

    def part(self, layer, x):
        return torch.tanh(layer(x))

    def forward(self, x):
        for layer in self.layers:
            given = self.part, layer, x
            x = checkpoint(*given, use_reentrant=False) if self.again else self.part(*given[1:])
        return x.sum()


def step(is_fake, again=False, keeps_gradients=False):
    model = Stack(again, "meta" if is_fake else "cpu")
    fake = fake_mode() if is_fake else None
    x = torch.ones(ROWS, WIDTH)
    if fake is not None:
        without_memory(model, fake)
        x = faked_batch(x, fake)
    optimizer = torch.optim.AdamW(model.parameters(), foreach=True)
    return run_step(model, lambda: model(x), optimizer, fake, keeps_gradients=keeps_gradients)


@pytest.mark.parametrize("again", [False, True])
@pytest.mark.parametrize("keeps", [False, True])
def test_fake_tensors_take_on_paper_what_real_ones_take_in_memory(again, keeps):
    on_paper, real = step(True, again, keeps), step(False, again, keeps)
    assert on_paper.peak == real.peak
    assert (on_paper.passes == real.passes).all()
    assert (on_paper.update == real.update).all()
    assert (on_paper.flops, on_paper.recomputed) == (real.flops, real.recomputed)


def test_a_step_holds_what_the_formulas_say():
    found = step(False)
    assert found.size == ParameterSize(3 * WIDTH * WIDTH, 0, 3 * SQUARE, 0)
    assert found.optimizer == 2 * 3 * SQUARE + 3 * 4  # two moments, and a count of steps each
    fullest = found.passes[found.passes.sum(1).argmax()]
    assert fullest[WEIGHTS] == fullest[GRADIENTS] == 3 * SQUARE
    assert fullest[OPTIMIZER] == found.optimizer
    # when the last tanh has its output, its input is still there
    assert fullest[ACTIVATIONS] + fullest[TEMPORARY] == 4 * ACTIVATION
    # each output is saved, and the next layer's input is the same tensor
    assert found.passes[:, ACTIVATIONS].max() == 3 * ACTIVATION
    assert found.flops == 2 * ROWS * WIDTH * WIDTH * (3 + 3 + 2)  # the input needs no gradient
    assert found.recomputed == 0


def test_checkpointed_layers_are_computed_again_and_save_their_inputs_alone():
    plain, again = step(False), step(False, again=True)
    assert again.recomputed == 2 * ROWS * WIDTH * WIDTH * 3
    assert again.flops - again.recomputed == plain.flops
    most = [one.passes[:, ACTIVATIONS].max() for one in (plain, again)]
    assert most[1] <= most[0]


def test_an_update_of_all_tensors_together_takes_a_copy_of_the_weights():
    assert step(False).update[:, TEMPORARY].max() >= 3 * SQUARE


def test_each_storage_counts_once_and_until_it_is_freed():
    with LiveBytes() as bytes_:
        x = torch.ones(1000)
        views = [x[:10], x.view(10, 100), x.detach()]
        assert bytes_.live[TEMPORARY] == 4000
        del x
        assert bytes_.live[TEMPORARY] == 4000
        del views
        assert bytes_.live[TEMPORARY] == 0


def test_large_noise_takes_no_memory_and_small_counts_have_values():
    with LiveBytes(fake_mode()) as bytes_:
        noise = torch.randn(SMALL + 1)
        count = torch.arange(5)
        assert bytes_.live[TEMPORARY] == 4 * (SMALL + 1) + 8 * 5
        assert int(count.sum()) == 10
    assert type(noise).__name__ == "FakeTensor"


def test_shared_parameters_are_still_shared_on_paper():
    model = nn.Sequential(nn.Embedding(8, 4, device="meta"), nn.Linear(4, 8, False, device="meta"))
    model[1].weight = model[0].weight
    without_memory(model, fake_mode())
    assert model[1].weight is model[0].weight
    assert ParameterSize.of(model.parameters()).total == 32


@pytest.mark.slow
def test_a_process_that_followed_fake_tensors_can_fork_others_that_train():
    code = """
import multiprocessing, torch
from engine.measure.live_bytes import fake_mode
def trained():
    (torch.ones(2, requires_grad=True) * 2).sum().backward()
with fake_mode():
    trained()
process = multiprocessing.get_context("fork").Process(target=trained)
process.start()
process.join()
raise SystemExit(process.exitcode)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
