"""What our code refuses is one line; what breaks by itself is a bug and keeps its traceback."""

import errno
import importlib.util
import json
import os

import pytest
from lightning.fabric.utilities.exceptions import MisconfigurationException

from cli import main
from datamodules.text.tokenizer import load_tokenizer
from engine.config.parser import Refused, end
from engine.config.refusals import refusal
from tests.fixtures.runs import newest_run, refused, write_config


def error_of(code: str, name: str = "modules.fake") -> Exception:
    """What a piece of code raises, as part of a module."""
    try:
        exec(compile(code, "fake.py", "exec"), {"__name__": name})
    except Exception as error:
        return error
    raise AssertionError("nothing was raised")


OURS = [
    ("raise ValueError('3 is\\n  too many')", "3 is too many"),
    ("raise TypeError('no export')", "no export"),
    ("raise RuntimeError('moved')", "moved"),
    ("raise FileNotFoundError('gone.txt does not exist')", "gone.txt does not exist"),
    ("try: 1 / 0\nexcept ZeroDivisionError as e: raise ValueError('of nothing') from e", "of noth"),
    ("def f():\n  raise ValueError('deep')\n[f() for _ in range(1)]", "deep"),
    ("with open('/none/x') as f: pass", "/none/x: No such file or directory"),
    ("class Own(Exception): pass\nraise Own('of its own kind')", "of its own kind"),
    ("e = ValueError('a')\ne.add_note('b')\nraise e", "a b"),
    ("import surely_not_there", "the package surely_not_there is not installed"),
]


@pytest.mark.parametrize(("code", "expected"), OURS)
def test_a_raise_statement_of_ours_is_a_refusal(code, expected):
    assert str(refusal(error_of(code))).startswith(expected)


@pytest.mark.parametrize(
    "code",
    [
        "assert 1 == 2, 'no'",
        "[][3]",
        "{}['x']",
        "raise IndexError('protocol')",
        "None.x",
        "1 / 0",
        "int('x')",
        "sum('a', 'b')",
        "import torch; torch.zeros(2) @ torch.zeros(3)",
        "import json; json.loads('{')",
        "import modules.not_there",
    ],
)
def test_what_breaks_by_itself_is_none(code):
    error = error_of(code)
    assert refusal(error) is None
    with pytest.raises(type(error)):
        end(error)


def test_a_library_that_raises_is_none_but_a_package_of_the_users_is(monkeypatch):
    code = "raise ValueError('theirs')"
    assert refusal(error_of(code, "somebody.module")) is None
    monkeypatch.setenv("TRAINER_TRUSTED", "somebody")
    assert refusal(error_of(code, "somebody.module")) == "theirs"


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EIO, errno.EDQUOT])
def test_a_disk_that_fails_is_told_with_its_cause(number):
    message = refusal(OSError(number, os.strerror(number)))
    assert os.strerror(number) in str(message)
    with_path = OSError(number, os.strerror(number), "/a/b")
    assert refusal(with_path) == f"/a/b: {os.strerror(number)}"


def test_options_that_lightning_refuses_are_told_in_one_line():
    code = "raise RuntimeError('conditioned on metric `x` which is not available')"
    assert refusal(error_of(code, "lightning.pytorch.callbacks.early_stopping")) is not None
    assert refusal(error_of(code, "lightning.pytorch.loops.fit_loop")) is None
    assert refusal(MisconfigurationException("no such\nmonitor")) == "no such monitor"


@pytest.mark.parametrize("kind", ["refusal", "missing file", "bug", "chained"])
def test_errors_of_workers_are_unwrapped(kind):
    from torch._utils import ExceptionWrapper

    def fail():
        if kind == "refusal":
            load_tokenizer("/none")
        if kind == "missing file":
            open("/none/x")
        if kind == "chained":
            try:
                [][1]
            except IndexError:
                load_tokenizer("/none")
        [][1]

    try:
        fail()
    except Exception:
        wrapped = ExceptionWrapper(where="in DataLoader worker process 1")
    with pytest.raises(Exception, match=r"Caught .* in DataLoader worker process 1") as raised:
        wrapped.reraise()
    message = refusal(raised.value)
    if kind == "bug":
        assert message is None
    else:
        assert message is not None
        assert message.startswith(
            ("/none ", "[Errno 2] No such file or directory: '/none/x'", "no ")
        )
        assert "Traceback" not in message


def test_ranks_other_than_a_machines_first_leave_the_line_to_it(monkeypatch, capsys):
    with pytest.raises(Refused):
        end(error_of("raise ValueError('once')"))
    monkeypatch.setenv("LOCAL_RANK", "1")
    with pytest.raises(Refused) as again:
        end(error_of("raise ValueError('once')"))
    assert again.value.code == 2
    assert capsys.readouterr().err == "once\n"


PLACES = {
    "configure_model": ("modules.causal_lm.system.CausalLM", "build"),
    "optimizer": ("modules.causal_lm.system.CausalLM", "parameter_groups"),
    "prepare_data": ("datamodules.text.datamodule.TextData", "prepare_data"),
    "first batch": ("modules.causal_lm.system.CausalLM", "training_step"),
}


SLOW = [pytest.param(place, marks=pytest.mark.slow) for place in list(PLACES)[:2]]


@pytest.mark.parametrize("place", [*SLOW, *list(PLACES)[2:]])
def test_wherever_it_happens_it_is_one_line_and_the_run_folder_holds_the_traceback(
    place, tmp_path, text_file, tokenizer_folder, monkeypatch, capsys
):
    config = write_config(tmp_path, text_file, tokenizer_folder)
    name, method = PLACES[place]
    owner = __import__("pkgutil").resolve_name(name)
    code = compile("def fail(*_, **__):\n    raise ValueError('of no use')", "fake.py", "exec")
    held = {"__name__": "modules.fake"}
    exec(code, held)
    monkeypatch.setattr(owner, method, held["fail"])
    with refused("of no use"):
        main(["fit", f"--config={config}"])
    assert capsys.readouterr().err.strip().splitlines()[-1].endswith("of no use")
    if place != "prepare_data":  # the run folder is claimed after it
        run = newest_run(config)
        assert "ValueError: of no use" in (run / "traceback.log").read_text()
        notes = json.loads((run / "run.json").read_text())
        assert notes["state"].startswith("failed: ")
        assert notes["command"].startswith("python cli.py fit --config=")


def test_a_learning_rate_below_zero_is_refused_before_any_data(
    tmp_path, text_file, tokenizer_folder
):
    config = write_config(tmp_path, text_file, tokenizer_folder)
    with refused(r"model\.init_args\.optimizer: .*Invalid learning rate: -0\.1"):
        main(["fit", f"--config={config}", "--model.init_args.optimizer.lr=-0.1"])
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize(
    ("flag", "expected"),
    [
        ("options.hidden_size=33", "the network cannot be built: .*33"),
        ("options.hidden_size=big", "hidden_size"),
        ("options.num_hidden_layers=-1", "num_hidden_layers must not be negative, got -1"),
        ("options.attention_dropout=2.0", r"attention_dropout must lie in \[0, 1\), got 2.0"),
        ("options.attention_dropout=.nan", "options is not a number"),
    ],
)
def test_what_libraries_have_against_a_network_is_one_line(
    tmp_path, text_file, tokenizer_folder, flag, expected
):
    config = write_config(tmp_path, text_file, tokenizer_folder)
    with refused(expected):
        main(["fit", f"--config={config}", f"--model.init_args.network.init_args.{flag}"])


@pytest.mark.parametrize(
    ("logger", "package"),
    [("WandbLogger", "wandb"), ("MLFlowLogger", "mlflow"), ("CometLogger", "comet-ml")],
)
def test_a_logger_whose_package_is_missing_names_both(
    tmp_path, text_file, tokenizer_folder, logger, package
):
    if importlib.util.find_spec(package.replace("-", "_")):
        pytest.skip(f"{package} is installed")
    config = write_config(tmp_path, text_file, tokenizer_folder)
    path = f"lightning.pytorch.loggers.{logger}"
    with refused(rf"^{path}: Requirement '{package}>=[\d.]+' not met"):
        main(["fit", f"--config={config}", f"--trainer.logger={path}"])


def test_what_one_of_several_loggers_has_against_its_options_is_all_that_is_told(
    tmp_path, text_file, tokenizer_folder, monkeypatch
):
    def refuse(self, *args, **kwargs):
        raise OSError("that store is closed")

    monkeypatch.setattr("lightning.pytorch.loggers.TensorBoardLogger.__init__", refuse)
    config = write_config(tmp_path, text_file, tokenizer_folder)
    with refused(r"^(lightning\S+: )?that store is closed$"):
        main(
            [
                "fit",
                f"--config={config}",
                "--trainer.logger=lightning.pytorch.loggers.TensorBoardLogger",
            ]
        )
