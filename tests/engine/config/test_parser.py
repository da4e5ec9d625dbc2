"""Every wrong configuration ends with exit code 2 and one plain line."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

import cli

ROOT = Path(__file__).parents[3]


TINY = "configs/causal_lm/tiny.yaml"


Complain = Callable[..., str]


@pytest.fixture
def complain(monkeypatch, capsys) -> Complain:
    """Give `cli.main` arguments that it must refuse; returns its message."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(cli, "refuse_impossible", lambda *_: pytest.fail("was accepted"))

    def enter(*args: str) -> str:
        with pytest.raises(SystemExit) as end:
            cli.main(list(args))
        assert end.value.code == 2
        printed = capsys.readouterr()
        assert printed.out == ""
        assert printed.err.count("\n") == 1
        return printed.err.strip()

    return enter


@pytest.fixture
def layer(tmp_path, complain) -> Complain:
    """The message about a YAML given after the tiny config, its path shown as FILE."""

    def enter(text: str) -> str:
        path = tmp_path / "layer.yaml"
        path.write_text(text)
        return complain("fit", "-c", TINY, "-c", str(path)).replace(str(path), "FILE")

    return enter


UNKNOWN_KEYS = [
    ("modle: 3", "modle; did you mean model?"),
    ("trainer: {max_stepz: 3}", "trainer.max_stepz; did you mean max_steps?"),
    ("model: {init_args: {optimiser: 3}}", "model.init_args.optimiser; did you mean optimizer?"),
    ("data: {init_args: {batchsize: 3}}", "data.init_args.batchsize; did you mean batch_size?"),
    (
        "model: {init_args: {network: {init_args: {optionz: {depth: 3}}}}}",
        "model.init_args.network.init_args.optionz; did you mean options?",
    ),
    (
        "model: {init_args: {generation: {max_new_token: 3}}}",
        "model.init_args.generation.max_new_token; did you mean max_new_tokens?",
    ),
    (
        "model: {init_args: {optimizer: {init_args: {weigth_decay: 0.1}}}}",
        "model.init_args.optimizer.init_args.weigth_decay; did you mean weight_decay?",
    ),
    (
        "model: {init_args: {scheduler: {init_args: {total_step: 3}}}}",
        "model.init_args.scheduler.init_args.total_step; did you mean total_steps?",
    ),
    (
        "trainer: {callbacks+: [{class_path: lightning.pytorch.callbacks.ModelCheckpoint, "
        "init_args: {save_topk: 1}}]}",
        "trainer.callbacks+[0].init_args.save_topk; did you mean save_top_k?",
    ),
    (
        "data: {init_args: {train: [{class_path: datamodules.text.files.ParquetText, "
        "init_args: {path: a, column: b}}, {class_path: datamodules.text.files.PlainText, "
        "init_args: {path: a, column: b}}]}}",
        "data.init_args.train[1].init_args.column; there are path, separator, span, weight",
    ),
]


@pytest.mark.parametrize(("text", "said"), UNKNOWN_KEYS)
def test_an_unknown_key_is_named_with_its_file_and_the_nearest_right_key(layer, text, said):
    assert layer(text) == f"FILE: unknown key {said}"


FLAGS = [
    (["--trainer.max_stepz", "3"], "unknown flag --trainer.max_stepz; did you mean --trainer.max_"),
    (["--trainer.max_step=3"], "unknown flag --trainer.max_step=3; did you mean --trainer.max_st"),
    (["--model.network.optionz", "3"], "unknown key model.network.optionz; did you mean options?"),
    (["--trainer.max_steps", "many"], "trainer.max_steps: expected int, got many"),
    (["--trainer.max_steps"], "argument --trainer.max_steps: expected one argument"),
    (["stray"], "unknown argument stray"),
    (
        ["--model.init_args.generation.init_args.num_steps=3"],
        "--model.init_args.generation.init_args.num_steps: modules.causal_lm.system.CausalLM has "
        "no option generation.num_steps; there are cache, ends, max_new_tokens",
    ),
    (
        ["--model.init_args.generation.init_args.max_new_tokens", "3"],
        "unknown flag --model.init_args.generation.init_args.max_new_tokens; it is "
        "--model.init_args.generation.max_new_tokens",
    ),
    (
        ["--data.init_args.captions.rows=3"],
        "--data.init_args.captions.rows: datamodules.text.datamodule.TextData has no option "
        "captions; there",
    ),
    (["--lr", "1e-3"], "unknown flag --lr; did you mean --model.init_args.optimizer.init_args.lr?"),
]


@pytest.mark.parametrize(("flags", "said"), FLAGS)
def test_what_is_wrong_on_the_command_line_is_said_to_be_there(complain, flags, said):
    assert complain("fit", "-c", TINY, *flags).startswith(f"command line: {said}")


def test_a_wrong_or_missing_command_is_answered_with_the_right_ones(complain):
    assert complain("fot") == "command line: unknown command fot; did you mean fit?"
    assert complain("grd") == "command line: unknown command grd; did you mean grid?"
    message = complain()
    assert message.startswith("command line: no command; there are fit, validate")
    assert ", grid," in message


VALUES = [
    ("trainer: {max_steps: many}", "trainer.max_steps: expected int, got many"),
    ("trainer: {precision: bf17}", "did you mean bf16?"),
    ("data: {init_args: {batch_size: many}}", "data.init_args.batch_size: expected int, got many"),
    ("data: {init_args: {prompts: 3}}", "prompts: expected list[str] or str or null, got 3"),
    (
        "data: {init_args: {packing: best}}",
        "packing: expected best_fit or concatenate, got best; did you mean best_fit?",
    ),
    (
        "data: {init_args: {batch_size: '${data.init_args.tokenizer}'}}",
        "expected int, got ${data.init_args.tokenizer}, which is assets/",
    ),
    (
        "model: {init_args: {optimizer: {init_args: {lr: high}}}}",
        "model.init_args.optimizer.init_args.lr: expected float or Tensor, got high",
    ),
    (
        "model: {init_args: {generation: {max_new_tokens: many}}}",
        "model.init_args.generation.max_new_tokens: expected int, got many",
    ),
]


@pytest.mark.parametrize(("text", "said"), VALUES)
def test_a_wrong_value_is_quoted_beside_what_is_expected(layer, text, said):
    complaint = layer(text)
    assert complaint.startswith("FILE: ")
    assert said in complaint


CLASSES = [
    (
        "model: {class_path: modules.causal_ml.system.CausalLM}",
        "model.class_path: there is no module modules.causal_ml; did you mean modules.causal_lm?",
    ),
    (
        "model: {class_path: modules.causal_lm.system.CausalML}",
        "model.class_path: modules.causal_lm.system has no CausalML; did you mean CausalLM?",
    ),
    (
        "model: {init_args: {network: {class_path: modules.causal_lm.network.FromConfg}}}",
        "model.init_args.network.class_path: modules.causal_lm.network has no FromConfg; "
        "did you mean FromConfig?",
    ),
    (
        "model: {class_path: torch.optim.SGD}",
        "model.class_path is torch.optim.SGD, which is no LightningModule",
    ),
    (
        "data: {class_path: modules.causal_lm.system.CausalLM}",
        "data.class_path is modules.causal_lm.system.CausalLM, which is no LightningDataModule",
    ),
    (
        "trainer: {callbacks+: [{class_path: torch.optim.SGD}]}",
        "trainer.callbacks+[0].class_path is torch.optim.SGD, which is no Callback",
    ),
    (
        "model: {init_args: {network: {class_path: torch.optim.SGD}}}",
        "model.init_args.network.class_path is torch.optim.SGD, which is no LanguageModel",
    ),
]


@pytest.mark.parametrize(("text", "said"), CLASSES)
def test_a_wrong_class_path_is_named_with_what_is_wrong_about_it(layer, text, said):
    assert layer(text) == f"FILE: {said}"


@pytest.mark.parametrize(
    "text",
    [
        "model: {class_path: os.system}",
        "model: {init_args: {network: {class_path: os.system}}}",
        "trainer: {callbacks+: [{class_path: os.system}]}",
    ],
)
def test_a_class_outside_the_allowlist_is_said_to_be_untrusted(layer, text):
    assert "class_path is os.system, which is not in the list of classes" in layer(text)


def test_a_missing_key_is_named_with_the_class_that_requires_it(layer, complain):
    source = "{class_path: datamodules.text.files.PlainText}"
    message = layer(f"data: {{init_args: {{train: [{source}]}}}}")
    path = "data.init_args.train[0].init_args.path"
    assert message == f"FILE: {path} is missing; datamodules.text.files.PlainText requires it"
    message = complain("fit")
    assert message == "command line: nothing gives data and model; name a file by --config"


def test_a_file_that_is_no_yaml_is_named_with_the_line(layer):
    assert layer("trainer:\n  max_steps: [3\n  other: 1\n").startswith("FILE, line 3: not valid")
    assert "constructor for the tag" in layer("model: !!python/object/apply:os.system [ls]")
    assert layer("just text") == "FILE: expected keys with values, got just text"


def test_a_file_that_does_not_exist_brings_up_the_nearest_one(complain):
    message = complain("fit", "--config=configs/causal_lm/tny.yaml")
    assert message == f"configs/causal_lm/tny.yaml: no such file; did you mean {TINY}?"


REFERENCES = [
    (
        "model: {init_args: {tokenizer: '${data.init_args.tokenizr}'}}",
        "model.init_args.tokenizer refers to data.init_args.tokenizr, which is not set; "
        "did you mean data.init_args.tokenizer?",
    ),
    (
        "data: {init_args: {tokenizer: '${oc.env:SURELY_UNSET}'}}",
        "data.init_args.tokenizer needs the environment variable SURELY_UNSET, which is not set",
    ),
    (
        "data: {init_args: {tokenizer: '${data.init_args'}}",
        "data.init_args.tokenizer: no viable alternative at input '${data.init_args'",
    ),
]


@pytest.mark.parametrize(("text", "said"), REFERENCES)
def test_a_broken_reference_is_named_where_it_stands(layer, text, said):
    assert layer(text) == f"FILE: {said}"


def test_a_mistake_in_the_file_itself_is_told_of_that_file(complain, tmp_path):
    path = tmp_path / "own.yaml"
    path.write_text((ROOT / TINY).read_text().replace("options:", "optionz:"))
    base = (ROOT / TINY).with_name("base.yaml")
    path.with_name(base.name).write_text(base.read_text())  # it lies under every run of its folder
    key = "model.init_args.network.init_args.optionz"
    message = complain("fit", "-c", str(path), "-c", "configs/debug.yaml")
    assert message == f"{path}: unknown key {key}; did you mean options?"


def test_half_of_a_dataclass_is_told_where_it_stands_and_how_it_is_written(layer):
    message = layer("model: {init_args: {generation: {init_args: {max_new_tokens: 3}}}}")
    assert message == (
        "FILE: model.init_args.generation.init_args: a part of generation is given without "
        "init_args, as generation.KEY, or whole, with its class_path"
    )


@pytest.mark.slow
def test_help_knows_what_nothing_has_imported_yet():
    """In a process of its own: here most is imported already."""
    wanted = {
        ("--model.help", "LMFusion"): "boi_weight",
        ("--data.help", "ImageTextData"): "ImageTextFolder",
        ("--model.help",): "modules.vq.system.VQVAE",
    }
    for args, word in wanted.items():
        command = [sys.executable, "cli.py", "fit", *args]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        assert word in done.stdout, done.stdout[-2000:] + done.stderr[-2000:]
    done = subprocess.run([sys.executable, "cli.py", "--help"], cwd=ROOT, capture_output=True)
    assert b"grid" in done.stdout


def test_a_flag_sets_an_option_of_a_dataclass_to_null(monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    flag = "--data.init_args.train.domains=null"
    with pytest.raises(SystemExit) as end:
        cli.main(["fit", "-c", "configs/detector/tiny.yaml", flag, "--print_config"])
    assert end.value.code in (0, None)
    found = yaml.safe_load(capsys.readouterr().out)
    assert found["data"]["init_args"]["train"]["domains"] is None
