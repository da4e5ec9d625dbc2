"""Copies of remote data: made once, kept while there is room."""

import os
import threading
from pathlib import Path

import pytest

from datamodules.records.errors import MisfitError
from datamodules.records.remote.copies import opened_copy


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("TRAINER_REMOTE_CACHE", str(tmp_path))
    return tmp_path


def write(path: Path, size: int = 1000) -> None:
    path.write_bytes(b"x" * size)


def kept(folder: Path) -> int:
    return sum(path.is_file() for path in folder.iterdir())


def test_several_readers_make_a_copy_once(folder):
    made = []

    def make(path: Path) -> None:
        made.append(path)
        write(path)

    def read() -> None:
        assert opened_copy("a", make, Path.read_bytes) == b"x" * 1000

    readers = [threading.Thread(target=read) for _ in range(8)]
    for one in readers:
        one.start()
    for one in readers:
        one.join()
    assert len(made) == 1


def test_what_was_not_used_for_longest_goes_first(folder, monkeypatch):
    monkeypatch.setenv("TRAINER_REMOTE_CACHE_GB", "3e-6")  # three copies
    for key in "abc":
        path = opened_copy(key, write, lambda path: path)
        os.utime(path, (ord(key), ord(key)))
    opened_copy("a", write, Path.read_bytes)  # used again
    opened_copy("d", write, Path.read_bytes)
    assert kept(folder) == 3
    made = []
    for key in "acdb":
        opened_copy(key, lambda path: (made.append(path), write(path))[1], Path.read_bytes)
    assert len(made) == 1  # b


def test_a_failed_copy_leaves_nothing_and_a_large_one_is_refused(folder, monkeypatch):
    def fail(path: Path) -> None:
        write(path)
        raise OSError("cut")

    with pytest.raises(OSError, match="cut"):
        opened_copy("a", fail, Path.read_bytes)
    assert kept(folder) == 0
    monkeypatch.setenv("TRAINER_REMOTE_CACHE_GB", "1e-7")
    with pytest.raises(MisfitError, match="TRAINER_REMOTE_CACHE_GB allows 1e-07"):
        opened_copy("a", write, Path.read_bytes)
    assert kept(folder) == 0
