"""What all runs of a system share lies under each of them, and nowhere else."""

from pathlib import Path

import pytest
import yaml
from omegaconf import OmegaConf

import cli
from engine.config.layers import BASE, base_beside, layered, taken_back, with_bases
from engine.run.logger import run_name
from tests.fixtures.runs import fit, refused, write_config


@pytest.fixture
def run(tmp_path, text_file, tokenizer_folder) -> Path:
    """A config with its differences from the base in its folder: three steps instead of four."""
    whole = write_config(tmp_path, text_file, tokenizer_folder)
    whole.rename(whole.with_name("base.yaml"))
    whole.write_text("trainer: {max_steps: 3}\n")
    return whole


def parsed(folder: Path) -> dict:
    return yaml.safe_load((folder / "config.yaml").read_text())


def test_a_run_goes_over_the_base_of_its_folder(run):
    trained = fit(run)
    assert parsed(trained)["trainer"]["max_steps"] == 3
    assert parsed(trained)["data"]["init_args"]["row_length"] == 64
    assert trained.parent == run.parent.parent / "runs" / "tiny" / "lines"


def test_a_saved_config_runs_the_same_again_whatever_became_of_the_base(run):
    saved = fit(run) / "config.yaml"
    (run.parent / "base.yaml").write_text("trainer: {max_steps: 1}\n")
    assert base_beside(saved) is None
    again = saved.with_name("again")
    root = f"--trainer.logger.init_args.root={again}"
    cli.main(["fit", f"--config={saved}", root, "--trainer.logger.init_args.name=same"])
    assert parsed(again / "same" / "0")["trainer"]["max_steps"] == 3


def test_a_config_without_a_base_beside_it_is_read_alone(tmp_path):
    config = tmp_path / "alone.yaml"
    assert with_bases(["fit", "--config", str(config)]) == ["fit", "--config", str(config)]
    assert with_bases(["fit", '--config={"trainer": {"max_steps": 3}}', "--config"])[1:] == [
        '--config={"trainer": {"max_steps": 3}}',
        "--config",
    ]


def test_what_every_run_shares_stays_the_parsers_default():
    debug = BASE.with_name("debug.yaml")
    assert layered([debug]) == [debug]
    assert layered([BASE]) == [BASE]


def test_a_base_goes_once_before_the_first_config_of_its_folder(tmp_path):
    first, second, base = (tmp_path / f"{name}.yaml" for name in ("one", "other", "base"))
    base.touch()
    assert layered([first, second, first]) == [base, first, second, first]
    assert layered([base, first]) == [base, first]
    args = ["fit", "-c", str(first), "--config", str(second), "--seed_everything=2"]
    assert with_bases(args) == ["fit", f"--config={base}", *args[1:]]
    assert with_bases(with_bases(args)) == with_bases(args)


FAULTS = {
    "base.yaml": ("model: {init_args: {optimiser: 3}}", "model.init_args.optimiser"),
    "lines.yaml": ("trainer: {max_stepz: 3}", "trainer.max_stepz"),
    "layer.yaml": ("data: {init_args: {batchsize: 3}}", "data.init_args.batchsize"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_mistake_is_told_of_the_one_file_of_three_that_holds_it(run, name):
    text, key = FAULTS[name]
    layer = run.parent.parent / "layer.yaml"
    layer.write_text("trainer: {max_steps: 2}\n")
    file = layer if name == layer.name else run.with_name(name)
    OmegaConf.save(OmegaConf.merge(OmegaConf.load(file), OmegaConf.create(text)), file)
    with refused(rf"{file}: unknown key {key}; did you mean"):
        cli.main(["fit", f"--config={run}", f"--config={layer}"])


def test_a_value_that_the_run_overrides_is_told_of_the_run(run):
    run.write_text("trainer: {max_steps: many}\n")
    with refused(f"{run}: trainer.max_steps: expected int, got many"):
        cli.main(["fit", f"--config={run}"])


def test_a_missing_key_is_told_of_the_file_that_names_the_class(run):
    base = run.with_name("base.yaml")
    whole = yaml.safe_load(base.read_text())
    del whole["model"]["init_args"]["network"]
    base.write_text(yaml.safe_dump(whole))
    run.write_text("model: {init_args: {generation: {max_new_tokens: 4}}}\n")
    with refused(rf"{base}: model\.init_args\.network is missing"):
        cli.main(["fit", f"--config={run}"])


def test_a_run_is_named_after_itself_and_not_after_its_base(run):
    layer = run.parent.parent / "debug.yaml"
    layer.write_text("trainer: {max_steps: 2, log_every_n_steps: 7}\n")
    assert run_name([layer, run]) == "tiny/lines"
    message = f"{layer} lies under {run}, which sets trainer.max_steps 3 (not 2); give it last"
    assert str(taken_back([layer, run])).startswith(message)
    layer.write_text("trainer: {log_every_n_steps: 7}\n")
    base = run.with_name("base.yaml")
    message = f"{layer} lies under {base}, which sets trainer.log_every_n_steps 1 (not 7)"
    assert str(taken_back([layer, run])).startswith(message)
    assert taken_back([run, layer]) is None
