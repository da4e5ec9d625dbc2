import csv
import json
from inspect import signature
from itertools import combinations
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import pytest
import torch
import yaml
from lightning import LightningModule
from omegaconf import OmegaConf

from cli import main
from engine.config.layers import base_beside
from modules.base.system import System
from tests.fixtures.configs import RUNS, own_precision, shortened_run, write_stand_ins
from tests.fixtures.layers import CONFIGS, described, runs

SHIPPED = runs("*/*.yaml")
READS = runs("decoding/*.yaml")
STRATEGIES = sorted((CONFIGS / "strategy").glob("*.yaml"))


@pytest.fixture
def stand_ins(tmp_path_factory, tokenizer_folder, monkeypatch) -> Path:
    """Small data and models under the names that the configs use."""
    root = tmp_path_factory.mktemp("stand_ins")
    monkeypatch.setenv("TRAINER_DATA", str(root / "data"))
    monkeypatch.setenv("TRAINER_MODELS", str(root / "models"))
    write_stand_ins(root, tokenizer_folder)
    return root


@pytest.fixture(scope="module")
def cache(tmp_path_factory) -> str:
    """Texts are tokenised once."""
    return f"--data.init_args.cache={tmp_path_factory.mktemp('cache')}"


def train_three_steps(config: Path, folder: Path, *extra: str) -> Path:
    layers = [f"--config={layer}" for layer in (config, CONFIGS / "debug.yaml")]
    layers.append(f"--trainer.precision={own_precision(config)}")
    root = f"--trainer.logger.init_args.root={folder / 'runs'}"
    how = signature(system_of(config)).parameters.get("generation")
    writes = how is not None and hasattr(how.default, "max_new_tokens")
    short = ["--model.init_args.generation.max_new_tokens=8"] if writes else []
    main(["fit", *layers, root, *short, *extra])
    return max((folder / "runs").glob("*/*/*"), key=lambda path: path.stat().st_mtime)


def system_of(config: Path) -> type[Any]:
    """The class of the system that a config names."""
    return resolve_name(described(config).model.class_path)


def assert_foreseen(run: Path) -> None:
    """Quantities that a run's validations logged must be among those that its system declares."""
    system = system_of(run / "config.yaml")
    checkpoint = run / "checkpoints" / "last.ckpt"
    foreseen = {*system.load_from_checkpoint(checkpoint, map_location="cpu").validated()}
    with (run / "metrics.csv").open() as file:
        given = {name for name in next(csv.reader(file)) if name.startswith("validate/")}
    assert given
    assert given <= foreseen or system.validated is System.validated  # where a system declares none


def is_twin(config: Path) -> bool:
    """Whether a run differs from a quick one, that of digits, only in its images."""
    return config.stem.endswith(("_pixels", "_vq")) and not config.stem.startswith("digits")


TRIED = [pytest.param(run, marks=pytest.mark.slow) if is_twin(run) else run for run in RUNS]


@pytest.mark.parametrize("config", TRIED, ids=lambda p: f"{p.parent.name}/{p.stem}")
def test_every_config_trains_three_steps(config, tmp_path, stand_ins, cache, capsys):
    flags = shortened_run(config, tmp_path, cache)
    run = train_three_steps(config, tmp_path, *flags)
    assert run.parent == tmp_path / "runs" / config.parent.name / config.stem
    names = {path.name for path in run.iterdir()}
    assert {"config.yaml", "metrics.csv", "checkpoints"} <= names
    assert list(run.glob("events.out.tfevents.*"))
    assert_foreseen(run)
    if system_of(config).predict_step is not LightningModule.predict_step:
        assert "samples" in names
        assert_sampled(run, capsys.readouterr().out.strip().splitlines()[-1])


def assert_sampled(run: Path, last_line: str) -> None:
    """A run ends with the command that samples from it."""
    command = last_line.removeprefix("sample from it: python cli.py ").split()
    main([*command, "--trainer.accelerator=cpu"])
    predictions = next(run.parent.glob("*/predictions.jsonl")).read_text().splitlines()
    records = [json.loads(line) for line in predictions]
    assert records
    pairs = ({"prompt", "continuation"}, {"article", "summary"})
    assert all(any(pair <= set(record) for pair in pairs) for record in records)


def read_by(stage) -> list[dict]:
    """The sources of a stage; of a selection its split alone."""
    if isinstance(stage, dict):
        return [{"split": stage.get("split")}]
    return stage or []


def overlap(first: dict, second: dict) -> bool:
    """Whether two sources may read the same: parts of one file must not meet."""
    first, second = dict(first.get("init_args", first)), dict(second.get("init_args", second))
    start, end = first.pop("span", (0, 1))
    begin, stop = second.pop("span", (0, 1))
    return first == second and start < stop and begin < end


@pytest.mark.parametrize("config", SHIPPED, ids=lambda p: f"{p.parent.name}/{p.stem}")
def test_no_config_validates_or_tests_on_what_it_learns_or_chooses_by(config):
    data = OmegaConf.to_container(described(config)).get("data", {}).get("init_args", {})
    stages = [read_by(data.get(name)) for name in ("train", "validate", "test")]
    for first, second in combinations(stages, 2):
        assert not [a for a in first for b in second if overlap(a, b)]


def repeated(run: dict, base: dict, key: str = "") -> list[str]:
    """Keys of a run that its base gives the same value; a free dictionary is given whole."""
    if run.get("class_path", base.get("class_path")) != base.get("class_path"):
        return []  # another class: the base's options for its own class must not reach it
    repeats = []
    for name in run.keys() & base.keys() - {"options"}:
        mine, below = run[name], base[name]
        if isinstance(mine, dict) and isinstance(below, dict):
            repeats += repeated(mine, below, f"{key}{name}.")
        elif mine == below:
            repeats.append(key + name)
    return repeats


@pytest.mark.parametrize("config", SHIPPED, ids=lambda p: f"{p.parent.name}/{p.stem}")
def test_a_run_says_only_what_differs_from_its_base(config):
    below = base_beside(config)
    base = yaml.safe_load(below.read_text()) if below else {}
    assert repeated(yaml.safe_load(config.read_text()), base) == []


@pytest.mark.parametrize("config", READS, ids=lambda p: f"{p.parent.name}/{p.stem}")
def test_every_config_of_decoding_parses(config, capsys):
    with pytest.raises(SystemExit) as end:
        main(["predict", f"--config={config}", "--print_config"])
    assert end.value.code in (0, None)
    assert "class_path: modules.decoding." in capsys.readouterr().out


def test_the_papers_models_lie_over_a_config_of_decoding(capsys):
    layers = ["proxy_tuning.yaml", "models/llama2_13b_chat.yaml"]
    flags = [f"--config={CONFIGS / 'decoding' / layer}" for layer in layers]
    with pytest.raises(SystemExit) as end:
        main(["predict", *flags, "--print_config"])
    assert end.value.code in (0, None)
    assert "[INST] {question} [/INST]" in capsys.readouterr().out


@pytest.mark.parametrize("strategy", STRATEGIES, ids=lambda p: p.stem)
def test_every_strategy_parses_over_a_config(strategy, capsys):
    layers = [f"--config={p}" for p in (CONFIGS / "causal_lm" / "tiny.yaml", strategy)]
    with pytest.raises(SystemExit) as end:
        main(["fit", *layers, "--print_config"])
    assert end.value.code in (0, None)
    assert "class_path" in capsys.readouterr().out.split("strategy:")[1][:40]


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed", "bf16-true"])
def test_every_precision_learns(precision, tmp_path, cache, capsys):
    run = train_three_steps(
        CONFIGS / "causal_lm" / "tiny.yaml", tmp_path, cache, f"--trainer.precision={precision}"
    )
    state = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    wanted = torch.bfloat16 if precision == "bf16-true" else torch.float32
    assert {value.dtype for value in state.values()} == {wanted}
    lines = capsys.readouterr().out
    assert float(lines.split("step 3/3 · loss ")[1].split()[0]) < float(
        lines.split("step 1/3 · loss ")[1].split()[0]
    )


def test_an_override_reaches_every_place_that_refers_to_it(tmp_path, cache):
    prompts = '--data.init_args.prompts=["A dog"]'
    run = train_three_steps(CONFIGS / "causal_lm" / "tiny.yaml", tmp_path, cache, prompts)
    assert next((run / "samples").iterdir()).read_text().startswith("A dog")


def test_a_checkpoint_rebuilds_its_system(tmp_path, cache):
    from modules.causal_lm.system import CausalLM

    run = train_three_steps(CONFIGS / "causal_lm" / "tiny.yaml", tmp_path, cache)
    system = CausalLM.load_from_checkpoint(run / "checkpoints" / "last.ckpt")
    assert system.language_model.model.config.hidden_size == 128
