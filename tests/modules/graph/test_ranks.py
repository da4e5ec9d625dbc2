"""Questions are asked on two ranks as in one process, whole or with sharded weights."""

import json
import shutil

import pytest

from cli import main
from tests.fixtures.remote_runs import lines
from tests.fixtures.runs import ends_on_ranks, latest, measured

DATA = {
    "variants": {"incident": {"form": "incident"}, "expert": {"form": "expert"}},
    "trained_on": ["incident"],
    "of": {"task": "neighbours", "structure": "small", "nodes": [4, 5], "rationale": "search"},
    "num_test": 5,
    "num_validate": 3,
}
"""Five and three questions, which two ranks cannot share evenly."""


@pytest.fixture
def asked(tmp_path):
    """A config in a folder of its own, and options of a few questions."""
    config = tmp_path / "nlgift" / "tune.yaml"
    config.parent.mkdir()
    shutil.copy("configs/nlgift/tune.yaml", config)
    shutil.copy("configs/nlgift/base.yaml", config.parent)
    return config, [
        *(f"--data.init_args.{name}={json.dumps(value)}" for name, value in DATA.items()),
        f"--data.init_args.cache={tmp_path / 'cache'}",
        "--model.init_args.generation.max_new_tokens=40",
        "--model.init_args.asks_per_batch=2",
        f"--trainer.logger.init_args.root={tmp_path / 'runs'}",
        "--trainer.accelerator=cpu",
        "--untrained",
    ]


@pytest.mark.slow
def test_two_ranks_ask_as_one_process(asked, tmp_path):
    config, options = asked
    for command, num in (("test", 10), ("validate", 3)):
        main([command, f"--config={config}", *options])
        alone = latest(tmp_path)
        assert len(lines(alone / "answers.jsonl")) == num
        assert measured(alone)[f"{command}/incident/right"] > 0
        for strategy in ("ddp", "fsdp2"):
            layer = f"--config=configs/strategy/{strategy}.yaml"
            codes, logs = ends_on_ranks(config, 2, layer, *options, command=command)
            assert codes == [0, 0], logs
            together = latest(tmp_path)
            assert together != alone
            assert lines(together / "answers.jsonl") == lines(alone / "answers.jsonl"), strategy
            assert measured(together) == pytest.approx(measured(alone), rel=1e-5), strategy
