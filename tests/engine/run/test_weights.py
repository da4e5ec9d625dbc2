"""The weights that a command uses are found and reported in one line, or refused."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from jsonargparse import Namespace

from cli import main
from engine.checkpoint.facts import Facts
from engine.checkpoint.io import SafeCheckpointIO
from engine.config.origins import refuse_remote
from engine.run.weights import (
    ChosenWeights,
    choose,
    describe,
    refuse_other_system,
    refuse_untrained,
)
from tests.fixtures.runs import fit, newest_run, refused, write_config

CSV = "lightning.pytorch.loggers.CSVLogger"


@pytest.fixture
def config(tmp_path, text_file, tokenizer_folder) -> Path:
    return write_config(tmp_path, text_file, tokenizer_folder)


def weights_line(capsys) -> str:
    """The line about weights."""
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("weights: ")]
    assert len(lines) == 1
    return lines[0]


def test_a_requeued_job_begins_and_goes_on_by_the_same_command(config, capsys):
    with refused(r"no checkpoint below .*runs/tiny/lines; train first"):
        fit(config, "--ckpt_path=last")
    first = fit(config, "--ckpt_path=auto", "--trainer.max_steps=2")
    assert weights_line(capsys) == "weights: untrained (auto: no checkpoint yet)"
    second = fit(config, "--ckpt_path=auto")
    path = first / "checkpoints" / "step_0000002.ckpt"
    assert weights_line(capsys) == f"weights: {path}, step 2"
    assert json.loads((second / "run.json").read_text())["weights"] == f"{path}, step 2"
    assert json.loads((second / "run.json").read_text())["state"] == "finished"
    with refused(r"step_0000004\.ckpt was trained for 4 steps already.*trainer\.max_steps=3"):
        fit(config, "--ckpt_path=last", "--trainer.max_steps=3")
    sgd = "--model.init_args.optimizer={class_path: torch.optim.SGD, init_args: {lr: 0.1}}"
    with refused(r"step_0000004\.ckpt was trained by AdamW .* optimizer is SGD"):
        fit(config, "--ckpt_path=last", "--trainer.max_steps=6", sgd)


def slowly(*names: str) -> list[Any]:
    return [pytest.param(name, marks=pytest.mark.slow) for name in names]


@pytest.mark.parametrize("command", ["validate", *slowly("predict", "export")])
def test_untrained_weights_are_used_only_where_that_is_meant(command, config, tmp_path, capsys):
    more = [f"--folder={tmp_path / 'out'}"] if command == "export" else []
    more += ['--data.init_args.prompts=["A"]'] if command == "predict" else []
    args = [command, f"--config={config}", *more]
    with refused(r"no --ckpt_path: 21 trainable tensors are untrained \(network.*--untrained if"):
        main(args)
    assert not list((tmp_path / "out").glob("*"))
    main([*args, "--untrained"])
    assert weights_line(capsys) == "weights: untrained"


LOGGERS = {
    "another": f"[{{class_path: {CSV}, init_args: {{save_dir: FOLDER}}}}]",
    "one instead": f"{{class_path: {CSV}, init_args: {{save_dir: FOLDER}}}}",
    "none": "false",
}


@pytest.mark.parametrize("loggers", ["another", *slowly("one instead", "none")])
def test_last_and_the_name_of_the_run_do_not_hang_on_the_loggers(
    loggers, config, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)  # a RunLogger of no config writes to runs
    given = LOGGERS[loggers].replace("FOLDER", str(tmp_path / "other"))
    run = fit(config, f"--trainer.logger={given}", "--trainer.max_steps=2")
    assert sorted(p.name for p in run.glob("checkpoints/step*.ckpt")) == ["step_0000002.ckpt"]
    assert (run / "metrics.csv").exists() == (loggers != "none")
    if loggers != "none":
        (metrics,) = (tmp_path / "other").rglob("metrics.csv")
        assert "train/loss" in metrics.read_text()
    capsys.readouterr()
    main(["validate", f"--config={config}", f"--trainer.logger={given}", "--ckpt_path=last"])
    path = Path("runs/tiny/lines/0/checkpoints/step_0000002.ckpt")
    assert weights_line(capsys) == f"weights: {path}, step 2"


@pytest.mark.slow
def test_an_added_logger_leaves_the_run_folder_where_it_was(config, tmp_path):
    added = f"{{class_path: {CSV}, init_args: {{save_dir: {tmp_path / 'other'}}}}}"
    held = yaml.safe_load(config.read_text())
    held["trainer"]["logger"] = [yaml.safe_load(added), held["trainer"]["logger"]]
    config.write_text(yaml.safe_dump(held))
    run = fit(config, "--trainer.max_steps=2")
    assert (run / "checkpoints").is_dir()
    assert run == newest_run(config)


def system(path: Path, name: str | None) -> Facts:
    return Facts(path, 3, name)


def test_the_checkpoint_of_another_system_is_refused_by_both_names(tmp_path):
    causal, fusion = "modules.causal_lm.system.CausalLM", "modules.lmfusion.system.LMFusion"
    with pytest.raises(ValueError, match=rf"another model: of {causal}, but .* builds {fusion}"):
        refuse_other_system(system(tmp_path, causal), fusion)
    for held, wanted in (
        (causal, causal),
        (causal, "modules.detector.writer.Writer"),  # draws with a trained CausalLM
        ("modules.of_another_year.Gone", causal),
        (None, causal),
    ):
        refuse_other_system(system(tmp_path, held), wanted)


class Half:
    """A system of which part comes from a folder."""

    untrained = ("head.weight",)
    sources = ("models/base",)

    def named_parameters(self):
        for name in ("body.weight", "head.weight"):
            yield name, torch.nn.Parameter(torch.ones(1))


def test_adapters_and_heads_beside_a_pretrained_model_are_untrained():
    line = describe(ChosenWeights(), Half())
    assert line == "weights: models/base; 1 of 2 trainable tensors untrained"
    with pytest.raises(ValueError, match=r"1 trainable tensors are untrained \(head\.weight\)"):
        refuse_untrained(Half(), ChosenWeights())
    refuse_untrained(Half(), ChosenWeights("a.ckpt"))


@pytest.mark.parametrize(
    "path", ["s3://a/b", "gs://a", "https://a.b/c.ckpt", "hdfs:/a", "registry:x", "file:///a"]
)
def test_addresses_are_no_paths(path):
    with pytest.raises(ValueError, match="is not on this machine"):
        refuse_remote(path, "folder")


@pytest.mark.parametrize("path", ["a/b", "/a:b", "C:\\x", "runs/step=1.ckpt", "~/x", "registry/x"])
def test_paths_are(path):
    refuse_remote(path, "folder")


def test_what_is_no_checkpoint_is_refused_in_one_line(tmp_path):
    (tmp_path / "text.ckpt").write_text("no checkpoint")
    (tmp_path / "empty").mkdir()
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.yaml").touch()
    SafeCheckpointIO().save_checkpoint({"other": 1}, tmp_path / "odd.ckpt")
    (tmp_path / "loop.ckpt").symlink_to("loop.ckpt")
    for name, reason in (
        (tmp_path / "text.ckpt", "is no whole checkpoint"),
        (tmp_path / "empty", "is a folder without a checkpoint"),
        (tmp_path / "run", "no checkpoint in the run folder"),
        (tmp_path / "odd.ckpt", "no state_dict"),
        (tmp_path / "gone.ckpt", r"no checkpoint .*gone\.ckpt"),
        (tmp_path / "loop.ckpt", r"loop\.ckpt"),
        ("best", "best is known within one run only"),
        ("last", "no checkpoint below"),
        ("auto", "no checkpoint below"),
    ):
        config = Namespace(ckpt_path=str(name), model=Namespace(class_path="a.B"))
        with pytest.raises((ValueError, OSError), match=reason):
            choose("validate", config, tmp_path / "runs")


def test_a_run_folder_stands_for_its_newest_sound_checkpoint(tmp_path, capsys):
    for run, step in ((3, 7), (3, 20), (4, 1)):
        path = tmp_path / f"{run}" / "checkpoints" / f"step_{step:07d}.ckpt"
        SafeCheckpointIO().save_checkpoint({"state_dict": {}, "global_step": step}, path)
    config = Namespace(ckpt_path=str(tmp_path / "3"), model=Namespace(class_path="a.B"))
    assert choose("test", config, tmp_path / "elsewhere").step == 20
    (tmp_path / "3" / "checkpoints" / "step_0000020.ckpt").write_bytes(b"damaged")
    assert choose("test", config, tmp_path / "elsewhere").step == 7
    assert "step_0000020.ckpt is no checkpoint that can be read" in capsys.readouterr().out
