from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from jsonargparse import Namespace

from engine.config.layers import taken_back
from engine.config.origins import config_files
from engine.run.logger import claim, run_name, settle_loggers


def test_twenty_runs_at_once_get_twenty_folders(tmp_path):
    with ThreadPoolExecutor(20) as pool:
        numbers = list(pool.map(lambda _: claim(tmp_path / "runs"), range(20)))
    assert sorted(map(int, numbers)) == list(range(20))


def test_other_files_in_the_folder_do_not_disturb(tmp_path):
    (tmp_path / "notes").mkdir()
    (tmp_path / "7").mkdir()
    assert claim(tmp_path) == "8"


def test_a_run_is_named_after_its_first_config():
    args = ["fit", "--config", "configs/causal_lm/tiny.yaml", "--config=configs/debug.yaml"]
    assert config_files(args) == [Path("configs/causal_lm/tiny.yaml"), Path("configs/debug.yaml")]
    assert run_name(config_files(args)) == "causal_lm/tiny"
    assert run_name([]) == "run"


def test_a_layer_given_first_does_not_name_the_run(tmp_path):
    layer, main = tmp_path / "debug.yaml", tmp_path / "mine" / "model.yaml"
    main.parent.mkdir()
    layer.write_text("trainer:\n  max_steps: 3\n  limit_val_batches: 2\n")
    main.write_text("model:\n  class_path: A\ntrainer:\n  max_steps: 600\n")
    assert run_name([layer, main]) == "mine/model"
    message = f"{layer} lies under {main}, which sets trainer.max_steps 600 (not 3); give it last"
    assert str(taken_back([layer, main])).startswith(message)
    assert taken_back([main, layer]) is None
    layer.write_text("trainer:\n  max_steps: 600\n")
    assert taken_back([layer, main]) is None
    assert taken_back([layer]) is None


def logger(kind, **options):
    return Namespace(class_path=f"any.{kind}", init_args=Namespace(**options))


OWN = {"root": "elsewhere", "name": None}
FORMS = {
    "ours": (lambda: logger("RunLogger", **OWN), ["RunLogger"], "elsewhere"),
    "ours alone in a list": (lambda: [logger("RunLogger", **OWN)], ["RunLogger"], "elsewhere"),
    "ours second": (
        lambda: [logger("WandbLogger"), logger("RunLogger", **OWN)],
        ["RunLogger", "WandbLogger"],
        "elsewhere",
    ),
    "another": (lambda: logger("CSVLogger"), ["RunLogger", "CSVLogger"], "runs"),
    "two others": (
        lambda: [logger("CSVLogger"), logger("MLFlowLogger")],
        ["RunLogger", "CSVLogger", "MLFlowLogger"],
        "runs",
    ),
    "false": (lambda: False, ["RunLogger"], "runs"),
    "true": (lambda: True, ["RunLogger"], "runs"),
    "null": (lambda: None, ["RunLogger"], "runs"),
    "an empty list": (lambda: [], ["RunLogger"], "runs"),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_loggers_has_the_run_folder_and_its_name(form):
    given, wanted, root = FORMS[form]
    trainer = Namespace(logger=given())
    assert settle_loggers(trainer, "tiny/lines") == Path(root, "tiny", "lines")
    loggers = trainer.logger if isinstance(trainer.logger, list) else [trainer.logger]
    assert [entry.class_path.rpartition(".")[2] for entry in loggers] == wanted
    assert loggers[0].init_args.name == "tiny/lines"
    assert loggers[0].init_args.get("metrics", True) == (form != "false")
