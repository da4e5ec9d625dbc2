"""The command `grid`: its config file, its output, and its own processes."""

import shlex
import subprocess
import sys
import time
import warnings

import pytest
import yaml

from cli import main as entry_point
from engine.study import child, launch
from engine.study.grid import Grid, main
from engine.study.trial import Command
from tests.fixtures.grids import AXES, Log
from tests.fixtures.runs import write_config


def write_grid(folder, **more):
    content = {"folder": str(folder / "grid"), "axes": AXES, "commands": {"fit": {"verb": "fit"}}}
    path = folder / "grid.yaml"
    path.write_text(yaml.safe_dump(content | more, sort_keys=False))
    return path


def test_cells_of_their_own_process_are_run_and_their_failures_told(tmp_path, monkeypatch):
    script = tmp_path / "entry_point.py"
    script.write_text("import sys\nprint('asked', sys.argv[1])\nsys.exit('s2' in sys.argv[2])\n")
    monkeypatch.setattr(child, "CLI", script)
    with pytest.raises(SystemExit, match="2 failed:\nsmall/s2 fit failed: asked fit"):
        main([f"--config={write_grid(tmp_path)}"])
    assert (tmp_path / "grid" / "large" / "s1" / "fit.json").is_file()


def test_a_cell_that_another_process_runs_is_left_to_it(tmp_path, monkeypatch):
    script = tmp_path / "entry_point.py"
    wait = f"while not Path({str(tmp_path / 'stop')!r}).exists(): time.sleep(0.05)"
    script.write_text(f"import time\nfrom pathlib import Path\nprint('begun', flush=True)\n{wait}")
    config = write_grid(tmp_path)
    grid_of = "import sys; from engine.study.grid import main; import engine.study.child as child\n"
    grid_of += f"from pathlib import Path; child.CLI = Path({str(script)!r})\n"
    grid_of += f"main(['--config={config}'])"
    first = subprocess.Popen([sys.executable, "-c", grid_of], stderr=subprocess.DEVNULL)
    log = tmp_path / "grid" / "small" / "s1" / "fit.log"
    while not (log.exists() and "begun" in log.read_text()):
        assert first.poll() is None
        time.sleep(0.02)
    first.kill()  # the process it started continues
    said = []
    asked = Log()
    Grid(str(tmp_path / "grid"), AXES, {"fit": Command()}, in_process=True).run(asked, said.append)
    assert "[1/4] small/s1: is run by another process, and left to it" in said
    assert ("small/s1", "fit") not in asked.asked
    assert len(asked.asked) == 3
    (tmp_path / "stop").touch()


def test_the_commands_can_be_listed_for_a_cluster(tmp_path, capsys):
    main([f"--config={write_grid(tmp_path)}", "--list"])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    config = f"--config={tmp_path}/grid.yaml"
    assert shlex.split(lines[1]) == ["python", "cli.py", "grid", config, "--cell+=small/s2"]
    assert not list(tmp_path.glob("grid/*/*/fit.json"))


def test_a_listed_command_runs_one_cell_and_makes_it_count(tmp_path, capsys):
    path = write_grid(tmp_path, in_process=True)
    main([f"--config={path}", "--list"])
    command = shlex.split(capsys.readouterr().out.splitlines()[1])
    log = Log()
    main(command[3:], log)
    assert log.asked == [("small/s2", "fit")]
    main([f"--config={path}", "--list"])
    done = [line.startswith("done") for line in capsys.readouterr().out.splitlines()]
    assert done == [False, True, False, False]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"axis": {"a": 1}}, "axis"),
        ({"commands": {"fit": {"verbs": "fit"}}}, "verbs"),
        ({"axes": {}}, "axes is empty"),
    ],
)
def test_a_slip_in_the_file_is_one_line(tmp_path, capsys, more, message):
    with pytest.raises(SystemExit) as stopped:
        main([f"--config={write_grid(tmp_path, **more)}"])
    assert stopped.value.code == 2
    error_line = capsys.readouterr().err
    assert message in error_line
    assert error_line.count("\n") == 1


def test_a_real_grid_trains_validates_and_resumes(tmp_path, text_file, tokenizer_folder):
    config = write_config(tmp_path, text_file, tokenizer_folder)
    path = write_grid(
        tmp_path,
        configs=[str(config)],
        axes={"seed": {"s1": {"seed_everything": 1}, "s2": {"seed_everything": 2}}},
        commands={"fit": {"verb": "fit"}, "judge": {"verb": "validate"}},
        in_process=True,
    )
    main([f"--config={path}", "--cell=[s1]"], entry_point)
    before = (tmp_path / "grid" / "s1" / "fit.json").read_text()
    main([f"--config={path}"], entry_point)
    assert (tmp_path / "grid" / "s1" / "fit.json").read_text() == before
    for seed in ("s1", "s2"):
        assert "validate/" in (tmp_path / "grid" / seed / "judge.log").read_text()
        assert list((tmp_path / "grid" / seed / "0" / "checkpoints").glob("*.ckpt"))
    assert "lightning" in sys.modules


def test_a_cell_that_runs_in_this_process_is_not_advised_against_what_is_meant(tmp_path, recwarn):
    def warning_command(args):
        warnings.warn("LightningCLI's args parameter is intended to run ...", stacklevel=1)
        warnings.warn("something else", stacklevel=1)

    warnings.simplefilter("always")
    assert launch.run_here(warning_command, [], tmp_path / "log")
    assert [str(warning.message) for warning in recwarn] == ["something else"]
