"""Folders of shards that other numbers of ranks, and other strategies, continue."""

import json
import os
from pathlib import Path

import pytest
import torch

from cli import main
from engine.checkpoint.consolidated import read_whole
from engine.checkpoint.folder_manifest import entries
from engine.checkpoint.manifest import verify
from modules.causal_lm.system import CausalLM
from tests.fixtures.runs import losses, run_in_turn
from tests.fixtures.small_systems import fusion, language_model, own_noise

pytestmark = pytest.mark.slow

SHARDED = "--trainer.strategy.init_args.save_sharded=true"
ASYNC = "--trainer.strategy.init_args.save_async=true"
TWO_SHARDS = "--trainer.strategy.init_args.num_shards=2"
LEARNING = (
    "--model.init_args.optimizer=engine.optim.muon.MuonAdamW",
    "--model.init_args.optimizer.init_args.lr=0.01",
    '--trainer.callbacks+={"class_path": "callbacks.ema.EMA", "init_args": {"decay": 0.9}}',
)
"""Muon and averages: both work on sharded weights."""


@pytest.fixture
def system(tmp_path, text_file, tokenizer_folder):
    return language_model(tmp_path, text_file, tokenizer_folder)


@pytest.fixture
def rows(tmp_path, monkeypatch):
    """Where each process notes the rows that it trains on, by steps."""
    folder, step = tmp_path / "rows", CausalLM.training_step
    folder.mkdir()

    def noted(self, batch, batch_idx):
        with (folder / f"{os.getpid()}.jsonl").open("a") as file:
            for row in batch["token_BL"].tolist():
                file.write(json.dumps([self.trainer.global_step, row]) + "\n")
        return step(self, batch, batch_idx)

    monkeypatch.setattr(CausalLM, "training_step", noted)
    return folder


def taken(folder):
    """All noted rows, in order of steps; the notes are removed."""
    files = list(folder.iterdir())
    found = sorted(json.loads(line) for file in files for line in file.read_text().splitlines())
    for file in files:
        file.unlink()
    return found


def stage(system, root, strategy, replicas, num_steps, *more):
    """A command of one stage of a training, and the folder of its run."""
    layer = f"--config=configs/strategy/{strategy}.yaml"
    given = [f"--trainer.logger.init_args.root={root}", f"--trainer.max_steps={num_steps}", *more]
    return system.command(replicas, layer, *LEARNING, *given), root / "tiny" / "lines" / "0"


def last(run: Path) -> str:
    return f"--ckpt_path={run}/checkpoints/last.ckpt"


def same(found, expected):
    """Tensors of two trees are equal to what rounding allows."""
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-3, atol=2e-5)


def test_two_ranks_then_one_then_four_train_as_one_process(system, rows, tmp_path):
    """Weights, Muon's states, averages and the position in the data; also by other strategies."""
    main(system.command(1, *LEARNING, "--trainer.max_steps=18"))
    alone, expected_rows = system.newest, taken(rows)
    command, two = stage(system, tmp_path / "two", "fsdp2", 2, 6, SHARDED, ASYNC)
    run_in_turn(tmp_path, 2, [command])
    folder = (two / "checkpoints" / "last.ckpt").resolve()
    assert {"__0_0.distcp", "__1_0.distcp", ".metadata", "meta.pt"} == entries(folder).keys()
    command, one = stage(system, tmp_path / "one", "fsdp2", 1, 12, SHARDED, last(two))
    run_in_turn(tmp_path, 1, [command])
    verify(one / "checkpoints" / "last.ckpt")
    command, four = stage(system, tmp_path / "four", "fsdp2", 4, 18, last(one))
    found_rows = taken(rows)
    mixed, both = stage(
        system, tmp_path / "both", "tensor_parallel_fsdp2", 2, 18, last(one), SHARDED, ASYNC
    )
    run_in_turn(tmp_path, 4, [command, mixed])
    assert losses(two) + losses(one) == pytest.approx(losses(alone)[:12], rel=1e-5)
    assert losses(four) == pytest.approx(losses(alone)[12:], rel=1e-5)
    assert losses(both) == pytest.approx(losses(alone)[12:], rel=1e-5)
    later = taken(rows)
    assert found_rows == [row for row in expected_rows if row[0] < 12]
    assert later == sorted(3 * [row for row in expected_rows if row[0] >= 12])  # ranks share rows
    expected, found = (
        torch.load(run / "checkpoints" / "last.ckpt", weights_only=True) for run in (alone, four)
    )
    same(found["state_dict"], expected["state_dict"])
    same(found["ema"]["weights"], expected["ema"]["weights"])
    joined = read_whole((both / "checkpoints" / "last.ckpt").resolve())
    same(joined["state_dict"], expected["state_dict"])
    same(joined["ema"]["weights"], expected["ema"]["weights"])
    assert found["ema"]["num_updates"] == expected["ema"]["num_updates"] == 18
    [ours], [theirs] = found["optimizer_states"], expected["optimizer_states"]
    for number, state in theirs["state"].items():
        same(
            {k: torch.as_tensor(v) for k, v in ours["state"][number].items()},
            {k: torch.as_tensor(v) for k, v in state.items()},
        )


def test_shards_of_partly_frozen_weights_become_copies_of_shards(
    text_file, tokenizer_folder, tmp_path
):
    """LMFusion, whose frozen weights are in no folder: FSDP2 on two ranks, then HSDP on 2 x 2."""
    system = fusion(tmp_path, text_file, tokenizer_folder)
    root = f"--trainer.logger.init_args.root={tmp_path}"
    with own_noise():
        main(system.command(1, "--trainer.max_steps=8"))
        alone = system.newest
        layer = "--config=configs/strategy/fsdp2.yaml"
        command = system.command(2, layer, SHARDED, f"{root}/two", "--trainer.max_steps=4")
        run_in_turn(tmp_path, 2, [command])
        two, four = (tmp_path / name / "tiny" / "lines" / "0" for name in ("two", "four"))
        layers = ["--config=configs/strategy/hsdp.yaml", TWO_SHARDS]
        given = [*layers, SHARDED, f"{root}/four", "--trainer.max_steps=8", last(two)]
        run_in_turn(tmp_path, 4, [system.command(4, *given)])
    assert losses(two) + losses(four) == pytest.approx(losses(alone), rel=1e-5)
    expected = torch.load(alone / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    same(read_whole((four / "checkpoints" / "last.ckpt").resolve())["state_dict"], expected)
