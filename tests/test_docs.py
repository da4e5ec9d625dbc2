"""The page on adding a system, followed to the letter: its files are written, trained, resumed."""

import importlib.util
import inspect
import os
import pkgutil
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

import datamodules
import modules
from cli import main
from engine.config.layers import BASE
from tests.fixtures.runs import losses, metrics

ROOT = BASE.parents[1]
PAGE = (ROOT / "docs" / "adding_a_system.md").read_text()
FENCE = re.compile(r"^```\w+\n(.*?)^```$", re.M | re.S)
NAMED = re.compile(r"^`([^`\n]+)`\n+```\w+\n(.*?)^```$", re.M | re.S)  # a path, then its file
SHELL = re.compile(r"^```bash\n(.*?)^```$", re.M | re.S)
NAMES = {"<system>": "noise2noise", "<run>": "waves"}

FILES = dict(NAMED.findall(PAGE))
QUOTED = sorted(set(re.findall(r"`([^`\n]+)`", FENCE.sub("", PAGE))))
PATHS = [quote for quote in QUOTED if re.fullmatch(r"[\w<>./]+(/|/[\w<>]+\.\w+)", quote)]
ADDRESSES = [
    q for q in QUOTED if re.fullmatch(r"(modules|datamodules|callbacks|engine)(\.\w+)+", q)
]
COMMANDS = [line for block in SHELL.findall(PAGE) for line in block.splitlines()]
OURS = [command for command in COMMANDS if command.startswith("python cli.py ")]
TOOLS = [command for command in COMMANDS if command not in OURS]
BESIDE = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
TESTS = [path for path in FILES if path.startswith("tests/")]


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The files of the page in a folder of their own, importable as if they lay in ours."""
    folder = tmp_path_factory.mktemp("page")
    for path, text in FILES.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    with joined(folder):
        yield folder


@contextmanager
def joined(folder: Path) -> Iterator[None]:
    """Import from a folder's `modules` and `datamodules` too, and forget afterwards what was."""
    with pytest.MonkeyPatch.context() as patch:
        for package in (modules, datamodules):
            theirs = str(folder / package.__name__)
            patch.setattr(package, "__path__", [*package.__path__, theirs])
        yield
    files = {name: str(getattr(m, "__file__", "")) for name, m in sys.modules.items()}
    for name in [name for name, file in files.items() if file.startswith(f"{folder}{os.sep}")]:
        parent, _, child = name.rpartition(".")
        vars(sys.modules.get(parent, sys.modules[name])).pop(child, None)
        del sys.modules[name]


def placed(path: str, tree: Path) -> Path:
    """Where a path that the page mentions lies: among its own files, or in the repository."""
    for name, value in NAMES.items():
        path = path.replace(name, value)
    return tree / path if (tree / path).exists() else ROOT / path


def arguments(command: str, tree: Path) -> list[str]:
    """What follows `python cli.py`, its files placed."""
    words = shlex.split(command)[2:]
    return [str(placed(word, tree)) if word.endswith(".yaml") else word for word in words]


def train(tree: Path, runs: Path, *extra: str) -> Path:
    """Train the page's config as `debug.yaml` has it; the run folder."""
    run = ["--config", "configs/noise2noise/waves.yaml", "--config", "configs/debug.yaml"]
    command = shlex.join(["python", "cli.py", "fit", *run])
    schedule = "--model.init_args.scheduler.init_args.total_steps=5"  # however long the run is
    logger = [f"--trainer.logger.init_args.{x}" for x in (f"root={runs}", "tensorboard=false")]
    main([*arguments(command, tree), *logger, schedule, *extra])
    return max((runs / "noise2noise" / "waves").iterdir(), key=lambda path: int(path.name))


def last(run: Path) -> Path:
    """The checkpoint of a run."""
    return run / "checkpoints" / "last.ckpt"


def test_the_example_trains_three_steps_and_resumes_as_if_it_had_never_stopped(
    tree: Path, tmp_path: Path
) -> None:
    first = train(tree, tmp_path)
    assert len(losses(first)) == 3
    assert "validate/error" in (first / "metrics.csv").read_text().splitlines()[0]

    resumed = train(tree, tmp_path, "--trainer.max_steps=5", f"--ckpt_path={last(first)}")
    whole = train(tree, tmp_path, "--trainer.max_steps=5")
    assert [row["step"] for row in metrics(resumed)] == [4, 5]
    assert losses(resumed) == losses(whole)[3:]
    a, b = (torch.load(last(run), weights_only=True) for run in (resumed, whole))
    for key in ("state_dict", "optimizer_states", "lr_schedulers", "ema", "WaveData"):
        torch.testing.assert_close(a[key], b[key], rtol=0, atol=0)


def test_the_example_takes_the_same_steps_in_one_batch_or_in_four(
    tree: Path, tmp_path: Path
) -> None:
    whole = train(tree, tmp_path)
    four = ["--data.init_args.batch_size=8", "--trainer.accumulate_grad_batches=4"]
    parts = train(tree, tmp_path, *four, "--trainer.val_check_interval=12")
    assert losses(parts) == pytest.approx(losses(whole), rel=1e-5)


@pytest.mark.parametrize("path", TESTS)
def test_the_tests_of_the_page_pass(tree: Path, path: str) -> None:
    spec = importlib.util.spec_from_file_location("page_test", tree / path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    functions = [f for name, f in vars(module).items() if name.startswith("test_")]
    assert functions
    for function in functions:
        for arguments in cases(function):
            function(**arguments)


def cases(function: Callable[..., None]) -> list[dict[str, object]]:
    """The arguments of a test, once for each value where one is parametrized."""
    marks = [m.args for m in getattr(function, "pytestmark", []) if m.name == "parametrize"]
    assert len(marks) == len(inspect.signature(function).parameters) <= 1
    return [{name: value} for name, values in marks for value in values] or [{}]


@pytest.mark.parametrize("check", ["check", "format --check"])
def test_the_files_of_the_page_are_clean(tree: Path, check: str) -> None:
    ruff = shutil.which("ruff", path=BESIDE)
    assert ruff is not None
    options = [*check.split(), "--no-cache", f"--config={ROOT / 'pyproject.toml'}"]
    command = [ruff, *options, str(tree)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tree)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("path", PATHS)
def test_every_path_of_the_page_exists(tree: Path, path: str) -> None:
    assert placed(path, tree).exists()


@pytest.mark.parametrize("address", ADDRESSES)
def test_every_address_of_the_page_is_a_real_one(tree: Path, address: str) -> None:
    assert pkgutil.resolve_name(address) is not None


@pytest.mark.parametrize("command", OURS)
def test_every_command_of_the_page_is_understood(
    tree: Path, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        main([*arguments(command, tree), "--print_config"])
    assert end.value.code == 0
    assert "modules.noise2noise.system.Noise2Noise" in capsys.readouterr().out


@pytest.mark.parametrize("command", TOOLS)
def test_every_tool_of_the_page_is_there(tree: Path, command: str) -> None:
    tool, *words = shlex.split(command)
    assert shutil.which(tool, path=BESIDE)
    assert all(placed(word, tree).exists() for word in words if "/" in word)


def test_the_page_names_what_this_file_looks_for() -> None:
    assert len(FILES) == 8
    assert all((PATHS, ADDRESSES, OURS, TOOLS, TESTS))


def test_a_joined_folder_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "modules" / "guest").mkdir(parents=True)
    (tmp_path / "modules" / "guest" / "__init__.py").write_text("")
    (tmp_path / "modules" / "guest" / "room.py").write_text("")
    before = list(modules.__path__)
    with joined(tmp_path):
        importlib.import_module("modules.guest.room")
    assert modules.__path__ == before
    assert not hasattr(modules, "guest")
    assert not any(name.startswith("modules.guest") for name in sys.modules)
