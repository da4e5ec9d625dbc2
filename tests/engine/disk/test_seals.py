"""Damage of a sealed folder is found when it is opened."""

from contextlib import suppress

import pytest

from engine.disk import seals
from engine.disk.seals import SealError, check, seal


def sealed(folder, size=12):
    folder.mkdir()
    (folder / "data").write_bytes(bytes(size))
    seal(folder)
    return folder / "data"


def test_what_is_as_it_was_passes(tmp_path):
    sealed(tmp_path / "f")
    (tmp_path / "f" / ".hidden").touch()  # not part of it
    check(tmp_path / "f")


def test_a_flipped_bit_and_another_size_are_named(tmp_path):
    path = sealed(tmp_path / "f")
    path.write_bytes(bytes(11) + b"\1")
    with pytest.raises(SealError, match="data is damaged after byte 0"):
        check(tmp_path / "f")
    path.write_bytes(bytes(11))
    with pytest.raises(SealError, match="data has 11 bytes, but 12 were written"):
        check(tmp_path / "f")


def test_a_missing_file_is_an_error(tmp_path):
    sealed(tmp_path / "f").unlink()
    with pytest.raises(FileNotFoundError):
        check(tmp_path / "f")


def test_of_large_files_other_blocks_are_checked_at_each_opening(tmp_path, monkeypatch):
    monkeypatch.setattr(seals, "BLOCK", 2)
    monkeypatch.setattr(seals, "MOST", 3)
    path = sealed(tmp_path / "f")
    path.write_bytes(b"\1" + bytes(11))
    num_found = 0
    for _ in range(40):
        with suppress(SealError):
            check(tmp_path / "f")
            num_found -= 1
        num_found += 1
    assert 5 < num_found < 40
