import pickle
from pathlib import Path

import pytest
import torch

from engine.checkpoint.facts import facts
from tests.engine.checkpoint.test_sharded import Gadget
from tests.fixtures.runs import (
    ends_on_ranks,
    fit,
    fit_on_ranks,
    losses,
    metrics,
    weights,
    write_config,
)

STRATEGY = Path(__file__).parent.parent / "configs" / "strategy"
NO_DROPOUT = "--model.init_args.network.init_args.options.attention_dropout=0.0"


@pytest.fixture
def config(tmp_path, text_file, tokenizer_folder):
    return write_config(tmp_path, text_file, tokenizer_folder)


@pytest.mark.parametrize("strategy", ["ddp", "fsdp2"])
def test_two_ranks_train_as_one_process(config, strategy):
    """The same rows, halved over ranks, with unequal numbers of targets on them."""
    alone = fit(config, NO_DROPOUT)
    layers = [f"--config={STRATEGY / strategy}.yaml", "--data.init_args.batch_size=2"]
    together = fit_on_ranks(config, 2, *layers, NO_DROPOUT)
    assert losses(together) == pytest.approx(losses(alone), rel=1e-5)
    norms = [[row["train/gradient_norm"] for row in metrics(run)] for run in (alone, together)]
    assert norms[1] == pytest.approx(norms[0], rel=1e-4)
    expected, actual = weights(alone), weights(together)
    assert expected.keys() == actual.keys()
    for name, value in expected.items():
        torch.testing.assert_close(actual[name], value, rtol=1e-3, atol=1e-5)


@pytest.mark.slow
def test_a_refusal_ends_every_rank_and_is_told_once(config):
    """On all ranks, on the one that prepares the data, and before the ranks know each other."""
    vocabulary = "--model.init_args.network.init_args.options.vocab_size=200"
    missing = "[{class_path: datamodules.text.files.PlainText, init_args: {path: /none.txt}}]"
    for flag, message in (
        (vocabulary, "300 ids, the embedding"),
        (f"--data.init_args.train={missing}", "/none.txt does not exist"),
        ("--trainer.max_stepz=3", "unknown flag --trainer.max_stepz"),
    ):
        codes, logs = ends_on_ranks(config, 2, flag)
        assert codes[0] == 2, logs[0]
        assert codes[1] in (1, 2), logs[1]
        assert sum(log.count(message) for log in logs) == 1, logs
        assert not any("Traceback" in log for log in logs), logs


@pytest.fixture
def sharded(config):
    """The checkpoint of a run on two ranks, a folder of shards, and what it was trained with."""
    layers = ["--config=configs/strategy/fsdp2.yaml", "--data.init_args.batch_size=2"]
    layers += ["--trainer.strategy.init_args.save_sharded=true", "--trainer.max_steps=2"]
    run = fit_on_ranks(config, 2, *layers)
    return run / "checkpoints" / "step_0000002.ckpt", layers[:-1]


@pytest.mark.slow
def test_a_hostile_index_of_shards_is_refused_as_data_on_both_ranks(config, sharded, tmp_path):
    folder, layers = sharded
    shapes = facts(folder).shapes
    assert shapes == {name: tuple(value.shape) for name, value in weights(fit(config)).items()}
    (folder / ".metadata").write_bytes(pickle.dumps(Gadget(tmp_path / "ran")))
    codes, logs = ends_on_ranks(config, 2, *layers, f"--ckpt_path={folder}")
    assert codes == [2, 2]
    lines = [
        line for log in logs for line in log.splitlines() if "system, which is no data" in line
    ]
    assert len(lines) == 1
    assert str(folder / ".metadata") in lines[0]
    assert "Traceback" not in "".join(logs)
    assert not (tmp_path / "ran").exists()


def test_a_validation_on_two_ranks_is_told_once_and_without_warnings(config):
    codes, logs = ends_on_ranks(config, 2, "--trainer.val_check_interval=2")
    assert codes == [0, 0]
    assert "sync_dist" not in "".join(logs)
    assert "".join(logs).count("validate/loss") == 2
