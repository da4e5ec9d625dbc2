"""A monitored quantity that will never be logged is reported before the first step where known."""

import json

import pytest
import yaml

from tests.fixtures.runs import fit, newest_run, refused, write_config
from tests.test_plain_module import config as plain  # noqa: F401, a fixture

CALLBACKS = "lightning.pytorch.callbacks"
WATCHERS = [
    (f"{CALLBACKS}.EarlyStopping", {}),
    (f"{CALLBACKS}.ModelCheckpoint", {"save_top_k": 1}),
    (f"{CALLBACKS}.ModelCheckpoint", {"every_n_train_steps": 2}),
]


def appended(path, **options):
    return "--trainer.callbacks+=" + json.dumps({"class_path": path, "init_args": options})


@pytest.fixture
def config(tmp_path, text_file, tokenizer_folder):
    path = write_config(tmp_path, text_file, tokenizer_folder)
    content = yaml.safe_load(path.read_text())
    content["trainer"]["val_check_interval"] = 2
    path.write_text(yaml.safe_dump(content))
    return path


@pytest.mark.parametrize(("path", "options"), WATCHERS)
@pytest.mark.parametrize("name", ["validate/los", "val_loss", "train/loss"])
def test_a_name_that_no_validation_gives_is_refused_before_the_first_step(
    config, path, options, name
):
    message = f"{path.rpartition('.')[2]} monitors {name}, which a validation does not give"
    with refused(
        rf"{message}.*there are validate/bits_per_byte, validate/loss, validate/perplexity"
    ):
        fit(config, appended(path, monitor=name, **options))
    assert not list((newest_run(config) / "checkpoints").glob("*"))


@pytest.mark.parametrize(("path", "options"), WATCHERS)
def test_a_name_that_a_validation_gives_is_watched(config, path, options):
    run = fit(config, appended(path, monitor="validate/perplexity", **options))
    assert (run / "checkpoints" / "step_0000004.ckpt").is_file()


def test_a_plain_module_is_known_by_its_validation_before_training(plain):  # noqa: F811
    from cli import main

    watcher = appended(f"{CALLBACKS}.EarlyStopping", monitor="val_los")
    with refused(r"EarlyStopping monitors val_los.*did you mean val_loss"):
        main(["fit", f"--config={plain}", watcher, "--trainer.num_sanity_val_steps=1"])
    assert not list(plain.parent.rglob("*.ckpt"))


def test_elsewhere_the_first_validation_tells_and_the_work_is_saved(plain, capsys):  # noqa: F811
    from cli import main

    watcher = appended(f"{CALLBACKS}.EarlyStopping", monitor="val_los")
    with refused(r"`val_los` which is not available.*val_loss"):
        main(["fit", f"--config={plain}", watcher])
    assert "step 4 is saved in" in capsys.readouterr().out
