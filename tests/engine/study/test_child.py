import os
import signal
import subprocess
import sys
import time

import pytest

from engine.study import child
from engine.study.child import end_softly, ended_softly, interpreter, start_apart, start_forked

WAITS = """
import pathlib, signal, sys, time
def end(*_):
    print("saved", flush=True)
    sys.exit(143)
signal.signal(signal.SIGTERM, {handler})
print("begun", flush=True)
time.sleep(30)
"""


@pytest.fixture
def script(tmp_path, monkeypatch):
    """Stands for cli.py; what a test writes is run."""
    path = tmp_path / "script.py"
    monkeypatch.setattr(child, "CLI", path)
    return path


@pytest.fixture
def lock(tmp_path):
    with (tmp_path / "lock").open("w") as file:
        yield file.fileno()


def wait_for(log, text, seconds=20.0, times=1):
    deadline = time.monotonic() + seconds
    while not (log.exists() and log.read_text().count(text) >= times):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_process_that_is_ended_softly_saves_first(tmp_path, script, lock):
    script.write_text(WAITS.format(handler="end"))
    log = tmp_path / "log"
    process = start_apart([], log, lock)
    wait_for(log, "begun")
    assert end_softly(process, 10) == 143
    assert "saved" in log.read_text()


def test_a_process_that_does_not_listen_is_killed(tmp_path, script, lock):
    script.write_text(WAITS.format(handler="signal.SIG_IGN"))
    log = tmp_path / "log"
    process = start_apart([], log, lock)
    wait_for(log, "begun")
    assert end_softly(process, 0.1) == -signal.SIGKILL


def test_whatever_stops_us_ends_the_process(tmp_path, script, lock):
    script.write_text(WAITS.format(handler="end"))
    log = tmp_path / "log"
    process = start_apart([], log, lock)
    wait_for(log, "begun")
    with pytest.raises(KeyboardInterrupt), ended_softly(process, 10):
        raise KeyboardInterrupt
    assert process.poll() == 143


@pytest.mark.skipif(sys.platform != "linux", reason="prctl is Linux's")
def test_a_process_ends_softly_with_the_one_that_started_it(tmp_path, script):
    script.write_text(WAITS.format(handler="end"))
    log = tmp_path / "log"
    code = (
        "import pathlib, time; from engine.study import child\n"
        f"child.CLI = pathlib.Path({str(script)!r}); log = pathlib.Path({str(log)!r})\n"
        f"lock = open({str(tmp_path / 'lock')!r}, 'w')\n"
        "child.start_apart([], log, lock.fileno(), outlives=False)\n"
        "time.sleep(30)"
    )
    parent = subprocess.Popen([sys.executable, "-c", code])
    wait_for(log, "begun")
    parent.kill()
    parent.wait()
    wait_for(log, "saved")


def test_a_fork_is_a_process_of_its_own_with_a_log(tmp_path):
    def entry_point(args):
        print("asked", *args, os.getpid(), flush=True)
        raise SystemExit(3)

    process = start_forked(entry_point, ["fit", "x"], tmp_path / "log")
    assert process.wait() == 3
    assert (tmp_path / "log").read_text() == f"asked fit x {process.pid}\n"
    assert process.pid != os.getpid()


@pytest.mark.slow
def test_all_processes_that_torchrun_starts_end_softly(tmp_path, script, lock):
    told = f"open({str(tmp_path)!r} + '/saved' + os.environ['RANK'], 'w').close()"
    text = "import os\n" + WAITS.format(handler="end")
    script.write_text(text.replace('print("saved", flush=True)', told))
    log = tmp_path / "log"
    launcher = ["torchrun", "--standalone", "--nproc_per_node=2"]
    process = start_apart([], log, lock, launcher)
    wait_for(log, "begun", 60, times=2)
    assert end_softly(process, 30) != 0
    assert sorted(path.name for path in tmp_path.glob("saved*")) == ["saved0", "saved1"]


def test_torchrun_is_that_of_this_installation():
    launcher = ["torchrun", "--nproc_per_node=2"]
    wanted = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node=2"]
    assert interpreter(launcher) == wanted
    assert interpreter(["srun", "python"]) == ["srun", "python"]
    assert interpreter(None) == [sys.executable]
