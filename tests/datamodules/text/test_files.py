import json
import os
from pathlib import Path

import pytest

from datamodules.records.document import BadSample, Document
from datamodules.records.row_tally import RowTally
from datamodules.text.files import HubText, JsonlText, ParquetText, PlainText, TextSource


def parquet(path: Path, columns: dict[str, list[object]]) -> str:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table(columns), path)
    return str(path)


def texts(source: TextSource) -> list[str]:
    return [document.text for document in source.documents() if isinstance(document, Document)]


def bad_samples(source: TextSource) -> list[str]:
    documents = source.documents()
    return [
        f"{document.origin} {document.reason}"
        for document in documents
        if isinstance(document, BadSample)
    ]


def test_parquet_gives_its_column_with_origins(tmp_path):
    source = ParquetText(parquet(tmp_path / "a.parquet", {"text": ["one", "two"], "n": [1, 2]}))
    assert list(source.documents()) == [
        Document("one", "a.parquet:1"),
        Document("two", "a.parquet:2"),
    ]


def test_parquet_reads_one_split(tmp_path):
    path = parquet(tmp_path / "a.parquet", {"t": ["one", "two", "six"], "s": ["x", "y", "x"]})
    assert texts(ParquetText(path, "t", split_column="s", split="x")) == ["one", "six"]


def test_a_split_needs_its_column():
    with pytest.raises(ValueError, match="go together"):
        ParquetText("a.parquet", split="train")


def test_a_missing_column_is_named_with_those_that_exist(tmp_path):
    path = parquet(tmp_path / "a.parquet", {"body": ["one"], "n": [1]})
    with pytest.raises(ValueError, match=r"a\.parquet has no column 'text'; it has body, n"):
        list(ParquetText(path).documents())


def test_bad_parquet_cells_are_named(tmp_path):
    path = parquet(tmp_path / "a.parquet", {"text": ["one", None, "", "two"]})
    assert texts(ParquetText(path)) == ["one", "two"]
    assert bad_samples(ParquetText(path)) == ["a.parquet:2 null", "a.parquet:3 empty"]


def test_cells_that_are_no_texts_are_named(tmp_path):
    path = parquet(tmp_path / "a.parquet", {"text": [1, 2]})
    assert bad_samples(ParquetText(path))[0] == "a.parquet:1 not a text but int"


def test_a_broken_parquet_file_is_named(tmp_path):
    path = tmp_path / "a.parquet"
    path.write_bytes(b"PAR1 this is no Parquet")
    with pytest.raises(ValueError, match=r"a\.parquet cannot be read as Parquet"):
        list(ParquetText(str(path)).documents())


def test_bad_lines_of_json_are_named(tmp_path):
    path = tmp_path / "a.jsonl"
    lines = [b'{"text": "one"}', b'{"text": ', b"", b'{"text": "\xff"}', b"[1]", b'{"n": 1}']
    path.write_bytes(b"\n".join([*lines, b'{"text": 5}', b'{"text": "two"}\n']))
    assert texts(JsonlText(str(path))) == ["one", "two"]
    assert bad_samples(JsonlText(str(path))) == [
        "a.jsonl:2 broken JSON",
        "a.jsonl:4 not UTF-8 at byte 10",
        "a.jsonl:5 not a JSON object",
        "a.jsonl:6 no 'text' among n",
        "a.jsonl:7 not a text but int",
    ]


def test_json_without_the_column_is_refused(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"body": "one"}\n')
    with pytest.raises(ValueError, match="no column 'text'; it has body"):
        list(JsonlText(str(path)).documents())


def test_plain_text_is_one_document_or_many(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("one\ntwo\n\nthree\n\n\n")
    assert texts(PlainText(str(path))) == ["one\ntwo\n\nthree\n\n\n"]
    assert list(PlainText(str(path), separator="\n\n").documents()) == [
        Document("one\ntwo", "a.txt:1"),
        Document("three", "a.txt:4"),
    ]


@pytest.mark.parametrize("cut", [0.05, 0.3, 0.5, 0.77, 0.99])
def test_two_spans_share_nothing_and_leave_nothing_out(tmp_path, cut):
    path = tmp_path / "a.txt"
    lines = [f"line {i} " + "x" * (i % 7) for i in range(50)]
    path.write_text("\n".join(lines) + "\n")
    parts = [texts(PlainText(str(path), "\n", span)) for span in ((0.0, cut), (cut, 1.0))]
    assert parts[0] + parts[1] == lines
    assert all(parts) or cut == 0.99


def test_a_span_must_rise_within_the_file():
    with pytest.raises(ValueError, match="rise"):
        PlainText("a.txt", span=(0.5, 0.5))


def test_bad_utf8_in_plain_text_costs_one_document(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"one\n\xfe\xff\nthree")
    assert texts(PlainText(str(path), "\n")) == ["one", "three"]
    assert bad_samples(PlainText(str(path), "\n")) == ["a.txt:2 not UTF-8 at byte 0"]


def test_a_byte_order_mark_is_no_text(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"\xef\xbb\xbfone")
    assert texts(PlainText(str(path))) == ["one"]


def test_folders_and_globs_are_read_in_order(tmp_path):
    for name in ("b", "a", "c"):
        (tmp_path / f"{name}.txt").write_text(name)
    (tmp_path / "d.md").write_text("d")
    assert texts(PlainText(str(tmp_path))) == ["a", "b", "c"]
    assert texts(PlainText(str(tmp_path / "[bc].txt"))) == ["b", "c"]


def test_a_missing_path_is_named():
    with pytest.raises(FileNotFoundError, match=r"nowhere/a\.txt does not exist"):
        PlainText("nowhere/a.txt").files()


def test_a_missing_path_under_an_unset_root_names_the_variable(monkeypatch):
    monkeypatch.delenv("TRAINER_DATA", raising=False)
    with pytest.raises(
        FileNotFoundError, match="TRAINER_DATA is not set; it must point at the data"
    ):
        ParquetText("data/books/train.parquet").files()


def test_a_missing_path_under_a_set_root_names_its_value(monkeypatch, tmp_path):
    monkeypatch.setenv("TRAINER_DATA", str(tmp_path))
    with pytest.raises(FileNotFoundError, match="TRAINER_DATA is set to"):
        ParquetText(str(tmp_path / "books" / "*.parquet")).files()


def test_an_empty_file_is_named_and_costs_nothing_beside_others(tmp_path):
    (tmp_path / "a.txt").touch()
    with pytest.raises(ValueError, match=r"a\.txt is empty"):
        list(PlainText(str(tmp_path)).documents())
    (tmp_path / "b.txt").write_text("b")
    with pytest.warns(UserWarning, match=r"1 of 2 files are empty: a\.txt \(is empty\)"):
        assert len(list(RowTally().sift(PlainText(str(tmp_path)).documents(), 0.0, "x"))) == 1


def test_the_fingerprint_follows_the_file_and_the_options(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("one")
    first = PlainText(str(path)).fingerprint()
    assert PlainText(str(path), weight=3.0).fingerprint() == first
    assert PlainText(str(path), span=(0.0, 0.5)).fingerprint() != first
    os.utime(path, ns=(1, 1))
    assert PlainText(str(path)).fingerprint() != first


def test_a_hub_dataset_may_be_a_folder(tmp_path):
    parquet(tmp_path / "train.parquet", {"text": ["one", "two"]})
    source = HubText(str(tmp_path), split="train")
    assert texts(source) == ["one", "two"]
    assert json.loads(source.fingerprint())[0] == "HubText"


def stream(good: int, bad: int) -> list[Document | BadSample]:
    return [BadSample(f"a:{i}", "null") for i in range(bad)] + [Document("x", "a")] * good


def test_a_few_bad_documents_are_counted_and_warned_about():
    census = RowTally()
    with pytest.warns(
        UserWarning, match=r"2 of 400 documents are bad \(0.50%\): a:0 \(null\); a:1"
    ):
        assert len(list(census.sift(stream(398, 2), 0.01, "a"))) == 398
    assert (census.good, census.bad) == (398, 2)


def test_too_many_bad_documents_stop_the_run():
    with pytest.raises(ValueError, match=r"5 of 100 documents are bad.*More than 1.00% stops"):
        list(RowTally().sift(stream(95, 5), 0.01, "a"))


def test_a_hopeless_source_stops_the_run_early():
    census = RowTally()
    with pytest.raises(ValueError, match="1000 of 1000"):
        list(census.sift(stream(10**5, 10**5), 0.01, "a"))


def test_a_source_without_documents_is_refused():
    with pytest.raises(ValueError, match="a holds no document"):
        list(RowTally().sift([], 0.01, "a"))
