"""Every system under every strategy of a mesh, on gloo ranks of the CPU, against one process.

Some runs are two commands: ten steps, and ten more from the checkpoint of the first.
"""

from dataclasses import dataclass

import pytest
import torch

from cli import main
from modules.icl.selection.scoring import read_table
from tests.fixtures.runs import losses, metrics, run_in_turn
from tests.fixtures.small_systems import own_noise

pytestmark = pytest.mark.slow

HALF = 10
"""Steps of the first of two commands."""


@dataclass(frozen=True)
class Strategy:
    """A config of configs/strategy and the ranks that it is run on.

    Attributes:
        name: Of the file.
        world: All ranks.
        replicas: Ranks that read rows of their own.
        resumed: Systems that it trains in two commands.
        systems: Which systems it trains.
        options: What the file leaves to the user.
    """

    name: str
    world: int
    replicas: int
    resumed: tuple[str, ...]
    systems: tuple[str, ...]
    options: tuple[str, ...] = ()

    @property
    def layers(self):
        return [f"--config=configs/strategy/{self.name}.yaml", *self.options]


SHARDS = "--trainer.strategy.init_args.num_shards=2"
ALL = ("causal_lm", "lmfusion", "codec_lm", "detector", "p3sum")
HSDP = Strategy("hsdp", 4, 4, ("lmfusion",), ALL, (SHARDS,))
LLAMAS = ("causal_lm", "adapters", "lmfusion", "codec_lm")
"""Systems whose networks tensor parallelism knows."""
TENSOR = Strategy("tensor_parallel", 2, 1, ("causal_lm", "lmfusion"), LLAMAS)
BOTH = Strategy("tensor_parallel_fsdp2", 4, 2, ("causal_lm",), ("causal_lm", "lmfusion"))
CONTEXT = Strategy("context_parallel", 2, 1, ("causal_lm",), ("causal_lm", "adapters", "codec_lm"))


def train(strategy, alone, folder, more=()):
    """Train every system in one group of processes, then run more commands; run folders by name."""
    commands, runs = [], {}
    for name in strategy.systems:
        root = folder / name
        given = [*strategy.layers, f"--trainer.logger.init_args.root={root}"]
        command = alone.systems[name].command(strategy.replicas, *given)
        runs[name] = [root / "tiny" / "lines" / "0"]
        if name in strategy.resumed:
            commands.append([*command, f"--trainer.max_steps={HALF}"])
            command.append(f"--ckpt_path={runs[name][0]}/checkpoints/last.ckpt")
            runs[name].append(root / "tiny" / "lines" / "1")
        commands.append(command)
    with own_noise():
        run_in_turn(folder, strategy.world, [*commands, *more])
    return runs


def series(runs, name):
    return [row[name] for run in runs for row in metrics(run)]


def check(alone, runs, name):
    """A system's losses, norms and last checkpoint, against those of one process."""
    single = alone.runs[name]
    assert series(runs, "train/loss") == pytest.approx(losses(single), rel=1e-5), name
    norms = [series(found, "train/gradient_norm") for found in ([single], runs)]
    assert norms[1] == pytest.approx(norms[0], rel=1e-4), name
    assert max(norms[0]) > 0.1, f"{name}: nothing was clipped"
    files = [run / "checkpoints" / "last.ckpt" for run in (single, runs[-1])]
    expected, found = (torch.load(file, weights_only=True) for file in files)
    assert found.keys() == expected.keys()
    check_tensors(found["state_dict"], expected["state_dict"])
    [ours], [theirs] = found["optimizer_states"], expected["optimizer_states"]
    assert ours["state"].keys() == theirs["state"].keys()
    for key, moments in theirs["state"].items():
        check_tensors(ours["state"][key], moments)


def check_tensors(found, expected):
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-3, atol=2e-5)


def check_continued_alone(alone, runs, name, folder):
    """One process continues from the file that the ranks wrote."""
    given = f"--trainer.logger.init_args.root={folder}"
    last = f"--ckpt_path={runs[0]}/checkpoints/last.ckpt"
    with own_noise():
        main(alone.systems[name].command(1, given, last))
    continued = folder / "tiny" / "lines" / "0"
    assert losses(continued) == pytest.approx(losses(alone.runs[name])[HALF:], rel=1e-5)


def test_copies_of_shards_train_and_select_as_one_process(alone, select, tmp_path):
    """Losses, clipped gradients, resumed runs, the form of the checkpoint; and chosen documents."""
    command, single = select
    selecting = [*command, *HSDP.layers, f"--folder={tmp_path / 'chosen'}"]
    runs = train(HSDP, alone, tmp_path, [selecting])
    for name in HSDP.systems:
        check(alone, runs[name], name)
    check_continued_alone(alone, runs["lmfusion"], "lmfusion", tmp_path / "alone")
    check_selected(tmp_path / "chosen", single)


def check_selected(found, expected):
    """The same documents are chosen, with scores equal to 1e-5."""
    for name in ("scores", "selected"):
        ours, theirs = (read_table(folder / f"{name}.parquet") for folder in (found, expected))
        for key, values in theirs.items():
            if isinstance(values[0], float):
                values = pytest.approx(values, rel=1e-5, abs=1e-5)
            assert ours[key] == values, key


@pytest.mark.parametrize("strategy", [TENSOR, BOTH, CONTEXT], ids=lambda one: one.name)
def test_ranks_that_share_rows_train_as_one_process(alone, tmp_path, strategy):
    """The same of strategies that divide layers or rows."""
    runs = train(strategy, alone, tmp_path)
    for name in strategy.systems:
        check(alone, runs[name], name)
