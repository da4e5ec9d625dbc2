"""A file of JSON lines that a kill cut short is continued without a broken line."""

import json

import pytest

from engine.disk.jsonl import BLOCK, append, mend, parsed

RECORDS = [{"id": "a"}, {"id": "ü", "more": [1, 2.5, None]}]


def read(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_records_are_added_a_line_each(tmp_path):
    path = tmp_path / "deep" / "a.jsonl"
    for record in RECORDS:
        append(path, [record])
    append(path, [])
    assert read(path) == RECORDS


@pytest.mark.parametrize("end", ['{"id": ', "{", '"id"', "[1]", "7", '{"id": "' + "x" * BLOCK])
def test_an_incomplete_last_line_is_removed(tmp_path, end):
    path = tmp_path / "a.jsonl"
    append(path, RECORDS)
    with path.open("a") as file:
        file.write(end)
    assert mend(path)
    assert read(path) == RECORDS
    assert not mend(path)


def test_a_line_cut_within_a_character_is_removed(tmp_path):
    path = tmp_path / "a.jsonl"
    append(path, RECORDS)
    path.write_bytes(path.read_bytes() + '{"id": "ü'.encode()[:-1])
    assert mend(path)
    assert read(path) == RECORDS


def test_a_last_line_that_lacks_only_its_newline_is_ended(tmp_path):
    path = tmp_path / "a.jsonl"
    append(path, RECORDS)
    path.write_bytes(path.read_bytes()[:-1])
    assert not mend(path)
    append(path, RECORDS)
    assert read(path) == 2 * RECORDS


def test_a_file_of_one_broken_line_becomes_empty_and_no_file_stays_none(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"id"')
    assert mend(path)
    assert path.read_bytes() == b""
    assert not mend(path)
    assert not mend(tmp_path / "none.jsonl")
    assert not (tmp_path / "none.jsonl").exists()


def test_only_whole_objects_are_records():
    assert parsed('{"ü": 1}'.encode()) == {"ü": 1}
    for line in (b"", b"[1]", b"1", b'{"a"', b"\xff"):
        assert parsed(line) is None
