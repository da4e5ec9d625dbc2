"""Files and folders are written completely or not at all, whatever ends their writer."""

import errno
import os
import resource
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from engine.disk import whole as module
from engine.disk.whole import LOCK, MARK, remove_abandoned, whole

ROOT = Path(__file__).parents[3]
WRITER = """
import pathlib, sys, time
from engine.disk.whole import whole
with whole(pathlib.Path(sys.argv[1])) as draft:
    if sys.argv[2] == "folder":
        draft.mkdir()
        draft = draft / "part"
    draft.write_text("half")
    print("ready", flush=True)
    time.sleep(60)
"""


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_has_its_name_only_when_it_is_whole(tmp_path):
    target = tmp_path / "deep" / "er" / "file.txt"
    for text in ("first", "second"):
        before = target.read_text() if target.exists() else None
        with whole(target) as draft:
            draft.write_text(text)
            assert (target.read_text() if target.exists() else None) == before
        assert target.read_text() == text
    assert names(target.parent) == ["file.txt"]


def test_a_folder_has_its_name_only_when_it_is_whole(tmp_path):
    (tmp_path / "empty").mkdir()
    for name in ("new", "empty"):
        with whole(tmp_path / name) as draft:
            draft.mkdir()
            (draft / "inner").mkdir()
            (draft / "inner" / "part").write_text("whole")
        assert (tmp_path / name / "inner" / "part").read_text() == "whole"
    assert names(tmp_path) == ["empty", "new"]


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_an_error_leaves_what_was_there(tmp_path, kind):
    target = tmp_path / "a"
    target.write_text("old")
    with suppress(RuntimeError), whole(target) as draft:
        if kind == "folder":
            draft.mkdir()
        else:
            draft.write_text("new")
        raise RuntimeError("no power")
    assert target.read_text() == "old"
    assert names(tmp_path) == ["a"]


def test_a_folder_that_holds_something_is_never_replaced_unasked(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "theirs").touch()
    with pytest.raises(OSError, match="not empty"), whole(tmp_path / "a") as draft:
        draft.mkdir()
    assert names(tmp_path / "a") == ["theirs"]


@pytest.mark.parametrize(("keeps", "left"), [(True, ["theirs"]), (False, ["ours"])])
def test_of_two_writers_the_first_sound_folder_stays(tmp_path, keeps, left):
    asked = []

    def is_sound(folder):
        asked.append(folder)
        return keeps

    with whole(tmp_path / "a", is_sound) as draft:
        draft.mkdir()
        (draft / "ours").touch()
        (tmp_path / "a").mkdir()
        (tmp_path / "a" / "theirs").touch()
    assert asked == [tmp_path / "a"]
    assert names(tmp_path / "a") == left
    assert names(tmp_path) == ["a"]


def test_everything_is_on_the_disk_before_it_has_its_name_and_the_name_after(tmp_path, monkeypatch):
    synced = []

    def note(path):
        synced.append((path.name, (tmp_path / "a").exists()))

    monkeypatch.setattr(module, "sync", note)
    with whole(tmp_path / "a") as draft:
        draft.mkdir()
        (draft / "inner").mkdir()
        (draft / "inner" / "part").touch()
    before = [("inner", False), ("part", False), ("a", False)]
    assert sorted(synced[:3]) == sorted(before)
    assert synced[3:] == [(tmp_path.name, True)]


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_drafts_of_killed_writers_are_removed_and_those_of_living_ones_stay(tmp_path, kind):
    command = [sys.executable, "-c", WRITER, tmp_path / "f", kind]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        with whole(tmp_path / "g") as draft:
            draft.touch()
        assert len(list(tmp_path.glob(f".f{MARK}*"))) == 1
        process.kill()
        process.wait()
    with whole(tmp_path / "h") as draft:
        draft.touch()
    assert names(tmp_path) == ["g", "h"]


@pytest.mark.parametrize(
    ("host", "lock", "age", "stays"),
    [
        ("here", True, 0, False),  # nobody holds the lock
        ("here", False, 0, True),  # about to make it, or on a file system without locks
        ("here", False, 90_000, False),
        ("far", True, 0, True),  # its lock may be visible on its own machine alone
        ("far", True, 90_000, False),
    ],
)
def test_a_draft_is_abandoned_if_its_lock_is_free_here_or_it_is_old(
    tmp_path, monkeypatch, host, lock, age, stays
):
    monkeypatch.setattr(module, "_host", lambda: "here")
    draft = tmp_path / f".a{MARK}{host}.x1"
    (draft / "a").mkdir(parents=True)
    if lock:
        (draft / LOCK).touch()
    then = time.time() - age
    for path in (draft, *draft.rglob("*")):
        os.utime(path, (then, then))
    remove_abandoned(tmp_path)
    assert draft.exists() == stays


def test_a_draft_is_not_old_while_a_file_deep_inside_grows(tmp_path):
    draft = tmp_path / f".a{MARK}far.x1"
    (draft / "a").mkdir(parents=True)
    (draft / "a" / "part").touch()
    for path in (draft, draft / "a"):
        os.utime(path, (0, 0))
    remove_abandoned(tmp_path)
    assert draft.exists()


def test_a_full_disk_is_reported_with_the_name_of_the_target(tmp_path):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(OSError, match="File too large") as caught, whole(tmp_path / "a") as a:
            a.write_bytes(bytes(2000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert caught.value.filename == str(tmp_path / "a")
    assert names(tmp_path) == []


def test_other_errors_of_the_system_keep_their_own_words(tmp_path):
    refusal = ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")
    with pytest.raises(ConnectionRefusedError) as caught, whole(tmp_path / "a"):
        raise refusal
    assert caught.value is refusal


def test_others_may_read_what_was_written_and_a_name_of_any_length_is_taken(tmp_path):
    before = os.umask(0o022)
    try:
        with whole(tmp_path / ("ü" * 120)) as draft:
            draft.touch()
        assert (tmp_path / ("ü" * 120)).stat().st_mode & 0o777 == 0o644
    finally:
        os.umask(before)
