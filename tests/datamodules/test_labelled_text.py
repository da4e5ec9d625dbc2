"""Tables of labelled texts."""

import pytest

from datamodules.labelled_text import LabelledText
from tests.datamodules.machine_texts import made_up, source, write

FORMATS = ("texts.parquet", "texts.csv", "texts.jsonl")
BAD_ROWS = {
    "empty": {"text": " ", "label": 1},
    "null": {"text": None, "label": 1},
    "a single word": {"text": "word", "label": 1},
    "no label": {"text": "two words", "label": None},
    "binary": {"text": "\x00\x01\x02\x03 ab", "label": 0},
}


@pytest.mark.parametrize("name", FORMATS)
def test_all_formats_give_the_same_rows(tmp_path, name):
    rows = made_up()
    found = source(write(rows, tmp_path / name)).rows
    assert [row.text for row in found] == [row["text"] for row in rows]
    assert [row.is_human for row in found] == [row["label"] == 1 for row in rows]
    assert {row.label for row in found} == {"human", "machine"}
    for field in ("generator", "domain", "pair_id", "paired_generator", "split"):
        assert [getattr(row, field) for row in found] == [row[field] for row in rows]
    assert found[2].origin == f"{name}:3"


def test_columns_of_other_names_and_fields_that_all_rows_share(tmp_path):
    rows = [{"sequence": "a human text", "kind": "1"}, {"sequence": "a made one", "kind": "0"}]
    path = write(rows, tmp_path / "one.csv", delimiter="|")
    values = {"generator": "gpt", "split": "train"}
    columns = {"text": "sequence", "label": "kind"}
    found = source(path, columns=columns, values=values, delimiter="|").rows
    assert [(row.text, row.label, row.split) for row in found] == [
        ("a human text", "human", "train"),
        ("a made one", "machine", "train"),
    ]
    assert found[0].pair_id != found[1].pair_id


@pytest.mark.parametrize("reason", BAD_ROWS)
def test_an_unusable_row_is_named_and_the_others_stay(tmp_path, reason):
    rows = [{"text": "good text", "label": 1}, BAD_ROWS[reason], {"text": "fine text", "label": 0}]
    found = source(write(rows, tmp_path / "texts.jsonl"))
    assert [row.text for row in found.rows] == ["good text", "fine text"]
    (reject,) = [one for one in found.documents() if not hasattr(one, "text")]
    assert reject.origin == "texts.jsonl:2"
    assert reject.reason.startswith(reason)


def test_what_is_no_utf_8_and_what_is_no_row_is_named(tmp_path):
    path = tmp_path / "texts.csv"
    path.write_bytes(b"text,label\ngood text,1\n\xff\xfe bad,0\nthree,cells,here\n")
    reasons = [one.reason for one in source(path).documents() if hasattr(one, "reason")]
    assert reasons == ["not UTF-8", "3 cells, but 2 columns"]


def test_missing_columns_and_unknown_labels_are_named(tmp_path):
    path = write([{"text": "no label here"}], tmp_path / "a.jsonl")
    with pytest.raises(ValueError, match=r"a\.jsonl has no column label; it has text"):
        list(source(path).documents())
    path = write([{"text": "good text", "label": "2"}], tmp_path / "b.jsonl")
    with pytest.raises(ValueError, match=r"b\.jsonl:1: label '2' is none of 1, 0"):
        list(source(path).documents())
    with pytest.raises(ValueError, match="'author' is no field"):
        source(path, columns={"author": "x"})


def test_rows_that_only_say_why_there_is_no_text_are_passed_over(tmp_path):
    rows = [{"text": "a few words", "label": "human"}]
    rows += [{"text": None, "label": "machine", "problem": "no continuation"}]
    found = LabelledText(str(write(rows, tmp_path / "written.jsonl")))
    assert [document.text for document in found.documents()] == ["a few words"]
    assert len(found.rows) == 1


def test_files_are_read_once_a_process_until_they_change(tmp_path, monkeypatch):
    path = write([{"text": "a few words", "label": "human"}], tmp_path / "texts.jsonl")
    assert LabelledText(str(path)).rows is not None
    with monkeypatch.context() as patch:
        patch.setattr(LabelledText, "_cells", None)
        assert LabelledText(str(path)).rows[0].text == "a few words"
    write([{"text": "some other words", "label": "human"}], path)
    assert LabelledText(str(path)).rows[0].text == "some other words"
