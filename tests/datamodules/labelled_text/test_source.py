"""Tables of labelled texts."""

import pytest

from datamodules.labelled_text.source import LabelledText
from datamodules.text.normalise import HiddenNames
from tests.fixtures.machine_texts import made_up, source, write

FORMATS = ("texts.parquet", "texts.csv", "texts.jsonl", "texts.tsv")
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
    delimiter = "\t" if name.endswith(".tsv") else ","
    read_rows = source(write(rows, tmp_path / name, delimiter)).rows
    assert [row.text for row in read_rows] == [row["text"] for row in rows]
    assert [row.is_human for row in read_rows] == [row["label"] == 1 for row in rows]
    assert {row.label for row in read_rows} == {"human", "machine"}
    for field in ("generator", "domain", "pair_id", "paired_generator", "split"):
        assert [getattr(row, field) for row in read_rows] == [row[field] for row in rows]
    assert read_rows[2].origin == f"{name}:3"


def test_columns_of_other_names_and_fields_that_all_rows_share(tmp_path):
    rows = [{"sequence": "a human text", "kind": "1"}, {"sequence": "a made one", "kind": "0"}]
    path = write(rows, tmp_path / "one.csv", delimiter="|")
    values = {"generator": "gpt", "split": "train"}
    columns = {"text": "sequence", "label": "kind"}
    read_rows = source(path, columns=columns, values=values, delimiter="|").rows
    assert [(row.text, row.label, row.split) for row in read_rows] == [
        ("a human text", "human", "train"),
        ("a made one", "machine", "train"),
    ]
    assert read_rows[0].pair_id != read_rows[1].pair_id


@pytest.mark.parametrize("reason", BAD_ROWS)
def test_an_unusable_row_is_named_and_the_others_stay(tmp_path, reason):
    rows = [{"text": "good text", "label": 1}, BAD_ROWS[reason], {"text": "fine text", "label": 0}]
    labelled = source(write(rows, tmp_path / "texts.jsonl"))
    assert [row.text for row in labelled.rows] == ["good text", "fine text"]
    (reject,) = [document for document in labelled.documents() if not hasattr(document, "text")]
    assert reject.origin == "texts.jsonl:2"
    assert reject.reason.startswith(reason)


def test_what_is_no_utf_8_and_what_is_no_row_is_named(tmp_path):
    path = tmp_path / "texts.csv"
    path.write_bytes(b"text,label\ngood text,1\n\xff\xfe bad,0\nthree,cells,here\n")
    reasons = [
        document.reason for document in source(path).documents() if hasattr(document, "reason")
    ]
    assert reasons == ["not UTF-8", "3 cells, but 2 columns"]


def test_missing_columns_and_unknown_labels_are_named(tmp_path):
    path = write([{"text": "no label here"}], tmp_path / "a.jsonl")
    with pytest.raises(ValueError, match=r"a\.jsonl has no column 'label'; it has text"):
        list(source(path).documents())
    path = write([{"text": "good text", "label": "2"}], tmp_path / "b.jsonl")
    with pytest.raises(ValueError, match=r"b\.jsonl:1: label '2' is none of 1, 0"):
        list(source(path).documents())
    with pytest.raises(ValueError, match="'author' is no field"):
        source(path, columns={"author": "x"})


def test_rows_that_only_say_why_there_is_no_text_are_passed_over(tmp_path):
    rows = [{"text": "a few words", "label": "human"}]
    rows += [{"text": None, "label": "machine", "problem": "no continuation"}]
    labelled = LabelledText(str(write(rows, tmp_path / "written.jsonl")))
    assert [document.text for document in labelled.documents()] == ["a few words"]
    assert len(labelled.rows) == 1


def test_files_are_read_once_a_process_until_they_change(tmp_path, monkeypatch):
    path = write([{"text": "a few words", "label": "human"}], tmp_path / "texts.jsonl")
    assert LabelledText(str(path)).rows is not None
    with monkeypatch.context() as patch:
        patch.setattr(LabelledText, "_cells", None)
        assert LabelledText(str(path)).rows[0].text == "a few words"
    write([{"text": "some other words", "label": "human"}], path)
    assert LabelledText(str(path)).rows[0].text == "some other words"


@pytest.mark.parametrize(
    ("labels", "written", "classes"),
    [
        ({False: "human", True: "machine"}, ["no", "Yes", "TRUE", "false", " off "], "hmmhh"),
        ({False: "human", True: "machine"}, [False, True, True, False, False], "hmmhh"),
        ({"yes": "machine", "no": "human"}, [False, True, True, False, "N"], "hmmhh"),
        ({"1": "human", "0": "machine"}, [1, 0, 1.0, "0.0", " 1"], "hmhmh"),
        ({1: "human", 0: "machine"}, ["1", "0", "1.0", 0.0, 1], "hmhmh"),
        ({"human": "human", "*": "machine"}, ["human", "gpt4", "llama", "Human", "x"], "hmmhm"),
        ({"t": "human", "true": "machine"}, ["t", "true", "true", "t", "t"], "hmmhh"),
    ],
)
def test_labels_mean_what_they_say_however_they_are_written(tmp_path, labels, written, classes):
    rows = [{"text": f"text number {i}", "label": label} for i, label in enumerate(written)]
    read_rows = source(write(rows, tmp_path / "texts.jsonl"), labels=labels).rows
    assert "".join(row.label[0] for row in read_rows) == classes


def test_a_label_that_means_nothing_or_two_things_is_refused_with_those_that_are_known(tmp_path):
    path = write([{"text": "good text", "label": "maybe"}], tmp_path / "a.csv")
    known = "no/false/off/n/f, yes/true/on/y/t;"  # YAML reads `yes` and `true` as the same value
    with pytest.raises(ValueError, match=rf"a\.csv:1: label 'maybe' is none of {known}"):
        list(source(path, labels={False: "human", True: "machine"}).documents())
    path = write([{"text": "good text", "label": "TRUE"}], tmp_path / "b.csv")
    with pytest.raises(ValueError, match=r"b\.csv:1: label 'TRUE' is none of yes, true"):
        list(source(path, labels={"yes": "human", "true": "machine"}).documents())


def test_a_missing_label_is_no_label_in_every_format(tmp_path):
    rows = [{"text": "good text", "label": 1.0}, {"text": "fine text", "label": float("nan")}]
    for name in ("a.parquet", "a.jsonl"):
        reasons = [
            document.reason
            for document in source(write(rows, tmp_path / name)).documents()
            if hasattr(document, "reason")
        ]
        assert reasons == ["no label"]


def test_columns_may_lie_within_others_and_whole_numbers_have_no_point(tmp_path):
    rows = [{"data": {"text": "a human text"}, "label": 1, "source_id": 7.0, "attack": None}]
    rows += [{"data": {"text": "a made one"}, "label": 0, "source_id": 8.0, "attack": "homoglyph"}]
    path = write(rows, tmp_path / "one.parquet")
    read_rows = source(path, columns={"text": "data.text", "pair_id": "source_id"}).rows
    assert [(row.text, row.pair_id, row.attack) for row in read_rows] == [
        ("a human text", "7", "none"),
        ("a made one", "8", "homoglyph"),
    ]


def test_a_folder_of_tables_is_read_whole_and_a_file_of_another_kind_is_refused(tmp_path):
    write([{"text": "first text", "label": 1}], tmp_path / "a.csv")
    write([{"text": "second text", "label": 0}], tmp_path / "b.jsonl")
    (tmp_path / "c.md").write_text("about these files")
    assert [row.text for row in source(tmp_path).rows] == ["first text", "second text"]
    with pytest.raises(ValueError, match=r"c\.md is no table: it must end in one of \.parquet"):
        source(tmp_path / "c.md").files()


def test_hidden_names_are_part_of_the_fingerprint_of_texts(tmp_path):
    path = write([{"text": "CNN said so", "label": "1"}], tmp_path / "t.jsonl")
    found = source(path, hide=HiddenNames(["CNN"], by="X"))
    assert [row.text for row in found.rows] == ["X said so"]
    assert found.fingerprint() != source(path).fingerprint()
