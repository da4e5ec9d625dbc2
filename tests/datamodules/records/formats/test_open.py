"""One module opens every format of rows, and all formats give the same rows."""

import bz2
import csv
import gzip
import io
import json
import lzma
import os
from pathlib import Path

import pytest
import zstandard

from datamodules.records.document import Blank, to_document
from datamodules.records.formats.columns import Wanted
from datamodules.records.formats.files import find_files, opened
from datamodules.records.formats.open import read_rows
from datamodules.records.indexed_rows import IndexedRows
from datamodules.records.row_tally import RowTally
from datamodules.text.files import HubText, JsonlText, ParquetText, PlainText, TextFiles
from tests.fixtures.row_files import LINES, ROWS, as_table, reasons, texts

COMPRESS = {
    "": lambda data: data,
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zst": lambda data: zstandard.compress(data[:40]) + zstandard.compress(data[40:]),
}


def as_csv(delimiter: str) -> bytes:
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, ["text", "n"], delimiter=delimiter)
    writer.writeheader()
    writer.writerows(ROWS)
    return out.getvalue().encode()


FORMS = {
    "a.jsonl": LINES,
    "b.jsonl": b"\xef\xbb\xbf" + LINES.replace(b"\n", b"\r\n\r\n"),
    "c.json": LINES,
    "d.json": json.dumps(ROWS, indent=1).encode(),
    "e.json": b"\xef\xbb\xbf" + json.dumps(ROWS).encode(),
    "f.ndjson": LINES,
    "g.csv": as_csv(","),
    "h.CSV": b"\xef\xbb\xbf" + as_csv(","),
    "i.tsv": as_csv("\t"),
    "j.parquet": as_table("parquet"),
    "k.arrow": as_table("stream"),
    "l.feather": as_table("file"),
    "m.jsonl": json.dumps(ROWS).encode(),
}


@pytest.mark.parametrize("ending", COMPRESS)
@pytest.mark.parametrize("name", FORMS)
def test_every_format_gives_the_same_rows_compressed_or_not(tmp_path, name, ending):
    path = tmp_path / f"{name}{ending}"
    path.write_bytes(COMPRESS[ending](FORMS[name]))
    wanted = Wanted(["text"], ["text"])
    assert [read_row["text"] for _, read_row in read_rows([path], wanted)] == [
        row["text"] for row in ROWS
    ]
    whole = [record for _, record in read_rows([path])]
    assert whole == ROWS
    lines = IndexedRows([path])
    assert [lines.record(i) for i in range(len(lines))] == ROWS
    assert texts(TextFiles(str(tmp_path))) == [row["text"] for row in ROWS]


def test_a_folder_of_many_formats_is_read_and_litter_is_left_out_and_counted(tmp_path):
    names = ["x/a.jsonl.gz", "x/b.json", "c.parquet"]
    litter = ["._b.json", "x/.ipynb_checkpoints/b.json", "__MACOSX/x/c.json", ".DS_Store"]
    for name in [*names, *litter, "notes.md"]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    message = "3 files that macOS, notebooks or the like left there are passed over"
    with pytest.warns(UserWarning, match=message):
        files = find_files(str(tmp_path), TextFiles.endings)
    assert [str(file.relative_to(tmp_path)) for file in files] == sorted(names)
    with pytest.warns(UserWarning, match="1 files that macOS"):
        assert len(find_files(f"{tmp_path}/**/*.js*")) == 2


def test_brackets_in_the_name_of_a_folder_are_no_pattern(tmp_path):
    folder = tmp_path / "run [1]*"
    folder.mkdir()
    for name in ("a.jsonl", "b.jsonl", "c [2].jsonl"):
        (folder / name).write_bytes(LINES)
    assert len(find_files(f"{folder}/*.jsonl")) == 3
    assert len(find_files(f"{tmp_path}/*/[ab].jsonl")) == 2
    assert [file.name for file in find_files(f"{tmp_path}/*/c [2].jsonl")] == ["c [2].jsonl"]


def test_what_save_to_disk_wrote_is_read_and_splits_are_not_mixed(tmp_path):
    from datasets import Dataset, DatasetDict

    dataset = Dataset.from_list(ROWS)
    dataset.save_to_disk(tmp_path / "one", num_shards=2)
    DatasetDict(train=dataset, test=dataset.select([0])).save_to_disk(tmp_path / "two")
    expected = [row["text"] for row in ROWS]
    assert texts(TextFiles(str(tmp_path / "one"))) == expected
    assert texts(TextFiles(str(tmp_path / "two" / "train"))) == expected
    with pytest.raises(ValueError, match="holds the splits train, test: name one"):
        texts(TextFiles(str(tmp_path / "two")))
    assert texts(HubText(str(tmp_path / "one"))) == expected
    assert texts(HubText(str(tmp_path / "two"), split="test")) == expected[:1]
    assert texts(HubText(str(tmp_path / "two"), split="train[1:3]")) == expected[1:3]
    with pytest.raises(ValueError, match="no split dev; it has train, test"):
        texts(HubText(str(tmp_path / "two"), split="dev"))


def test_columns_may_be_nested_categorical_or_null(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table(
        {
            "data": pa.array([{"text": "one", "n": 1}, {"text": "two", "n": 2}, None]),
            "kind": pa.array(["a", "b", "a"]).dictionary_encode(),
            "none": pa.nulls(3),
            "part": pa.array([1, 2, 1]),
            "views": pa.array(["x", "y", "z"], pa.string_view()),
        }
    )
    path = tmp_path / "a.parquet"
    pq.write_table(table, path)
    assert texts(ParquetText(str(path), "data.text")) == ["one", "two"]
    assert reasons(ParquetText(str(path), "data.text")) == ["a.parquet:3 no 'data.text' among data"]
    assert texts(ParquetText(str(path), "kind")) == ["a", "b", "a"]
    assert reasons(ParquetText(str(path), "none")) == [f"a.parquet:{i} null" for i in (1, 2, 3)]
    assert texts(ParquetText(str(path), "views", "part", "1")) == ["x", "z"]
    with pytest.raises(ValueError, match=r"no row has part 3; of 1 \(2\), 2 \(1\)"):
        texts(ParquetText(str(path), "views", "part", "3"))
    lines = tmp_path / "a.jsonl"
    lines.write_text('{"data": {"text": "one"}}\n{"data": {"text": "two"}}\n')
    assert texts(JsonlText(str(lines), "data.text")) == ["one", "two"]
    with pytest.raises(ValueError, match=r"no column 'data\.body'; it has data"):
        texts(JsonlText(str(lines), "data.body"))


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"text": "bad \\ud83d half"}', "half of a surrogate pair at character 4"),
        (b'{"text": "\\ud800"}', "half of a surrogate pair at character 0"),
        (b'{"text": ' + b"9" * 5000 + b"}", "broken JSON: Exceeds the limit"),
        (b'{"text": ' + b"[" * 100_000, "broken JSON"),
        (b'{"text": "a\\u0000b"}', "binary or UTF-16: NUL at character 1"),
        (b'{"text": "\xff"}', "not UTF-8 at byte 10"),
        (
            b'{"text": [{"role": "user"}]}',
            "a list of objects; datamodules.instructions.datamodule reads chats",
        ),
        (b'{"\\ud800": 1}', "no 'text' among \\ud800"),
        (b"\xff\xfe\x00", "not UTF-8 at byte 0"),
    ],
)
def test_whatever_is_wrong_with_a_line_costs_that_line_and_can_be_printed(tmp_path, line, reason):
    path = tmp_path / os.fsdecode(b"a\xff.jsonl")
    path.write_bytes(b'{"text": "one"}\n' + line + b'\n{"text": "two"}')
    source = JsonlText(str(path))
    assert texts(source) == ["one", "two"]
    [reason_given] = reasons(source)
    assert reason in reason_given
    assert reason_given.startswith("a\\udcff.jsonl:2 ")
    reason_given.encode()
    source.name.encode()


def test_blank_rows_are_neither_documents_nor_bad(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text('text\none\n""\n"  "\ntwo\n')
    census = RowTally()
    with pytest.warns(UserWarning, match=r"a: 2 rows are blank\."):
        good = list(census.sift(TextFiles(str(path)).documents(), 0.0, "a"))
    assert [document.text for document in good] == ["one", "two"]
    assert (census.good, census.bad, census.blank) == (2, 0, 2)
    assert isinstance(to_document("\ufeff \n", "x"), Blank)
    path.write_text('text\n""\n')
    with pytest.raises(ValueError, match=r"holds no document\. a: 1 rows are blank"):
        list(RowTally().sift(TextFiles(str(path)).documents(), 0.0, "a"))


def test_windows_line_ends_do_not_hide_a_separator(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"\xef\xbb\xbfone\r\nmore\r\n\r\ntwo\n\nthree\r\n")
    assert texts(PlainText(str(path), "\n\n")) == ["one\r\nmore", "two", "three\r\n"]
    path = tmp_path / "b.txt.gz"
    path.write_bytes(gzip.compress(b"one\n\ntwo"))
    assert texts(PlainText(str(path), "\n\n")) == ["one", "two"]


def test_frames_and_long_windows_of_zstandard_are_read(tmp_path):
    data = os.urandom(300_000)
    parts = [zstandard.compress(data[i : i + 7]) for i in range(0, 70, 7)]
    (tmp_path / "a.zst").write_bytes(b"".join(parts) + zstandard.compress(data[70:]))
    with opened(tmp_path / "a.zst") as file:
        assert file.read() == data


def test_an_unknown_ending_is_the_class_own_format_or_refused(tmp_path: Path):
    path = tmp_path / "train-00000"
    path.write_bytes(LINES)
    assert len(texts(JsonlText(str(path)))) == len(ROWS)
    with pytest.raises(ValueError, match="its ending names no known format"):
        texts(TextFiles(str(path)))
    with pytest.raises(FileNotFoundError, match=r"holds no file that ends in \.parquet, \.pq"):
        texts(ParquetText(str(tmp_path)))
