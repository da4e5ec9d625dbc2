"""Damaged files: one costs only itself, too many stop the run."""

import gzip
import io
import json
import lzma

import pytest
import zstandard

from datamodules.records.document import BadFile, BadSample, Document
from datamodules.records.row_tally import RowTally
from datamodules.text.files import TextFiles
from tests.fixtures.row_files import LINES, ROWS, as_table, reasons, texts


def damaged(kind: str) -> tuple[str, bytes]:
    """Name and bytes of a file that cannot be read to its end."""
    table = as_table("parquet")
    return {
        "empty": ("b.parquet", b""),
        "cut": ("b.parquet", table[: len(table) // 2]),
        "flipped": ("b.parquet", table[:4] + bytes(b ^ 0x5A for b in table[4:60]) + table[60:]),
        "gz": ("b.jsonl.gz", gzip.compress((LINES + b"\n") * 50, 0)[:-900]),
        "zst": ("b.jsonl.zst", zstandard.compress((LINES + b"\n") * 500)[:-5]),
        "xz": ("b.json.xz", lzma.compress(LINES)[:-20]),
        "arrow": ("b.arrow", as_table("file")[:-200]),
        "array": ("b.json", json.dumps(ROWS).encode()[:-3]),
        "utf16": ("b.csv", "text\nüx\n".encode("utf-16")),
        "utf16 without a mark": ("b.jsonl", LINES.decode().encode("utf-16-le")),
    }[kind]


KINDS = ["empty", "cut", "flipped", "gz", "zst", "xz", "arrow", "array", "utf16"]


@pytest.mark.parametrize("kind", [*KINDS, "utf16 without a mark"])
def test_one_bad_file_of_many_is_named_and_the_others_are_read(tmp_path, kind):
    for name in "acd":
        (tmp_path / f"{name}.jsonl").write_bytes(LINES)
    name, data = damaged(kind)
    (tmp_path / name).write_bytes(data)
    census = RowTally()
    with pytest.warns(UserWarning, match=f"1 of 4 files .*{name} "):
        good = list(census.sift(TextFiles(str(tmp_path)).documents(), 0.01, "x"))
    assert len(good) >= 15
    assert (census.bad, census.files, census.bad_files + census.empty_files) == (0, 4, 1)
    with pytest.raises(ValueError, match=rf"{name} (is empty|cannot be read as)"):
        list(TextFiles(str(tmp_path / name)).documents())


def test_too_many_bad_files_stop_the_run():
    samples = [Document("a", "a"), *(BadFile(f"{i}", "cut", 5) for i in range(2))]
    with pytest.raises(ValueError, match=r"2 of 5 files cannot be read: .* More than 33%"):
        list(RowTally().sift(samples, 0.01, "x"))


def test_a_cut_row_of_csv_and_another_number_of_cells_are_named(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(b'text,n\none,1\ntwo\n"x\xff",3\nfour,4\n')
    assert texts(TextFiles(str(path))) == ["one", "four"]
    assert reasons(TextFiles(str(path))) == [
        "a.csv:2 1 cells, but 2 columns",
        "a.csv:3 not UTF-8",
    ]


def test_offsets_of_a_damaged_arrow_file_lead_nowhere(tmp_path):
    import pyarrow as pa

    table, out = pa.table({"text": ["aa", "bb", "cc"]}), io.BytesIO()
    with pa.ipc.new_file(out, table.schema) as writer:
        writer.write_table(table)
    good = out.getvalue()
    offsets = b"".join(number.to_bytes(4, "little") for number in (0, 2, 4, 6))
    assert good.count(offsets) == 1
    path = tmp_path / "a.arrow"
    path.write_bytes(good.replace(offsets, offsets[:8] + b"\x00\x00\x00\x7f" + offsets[12:]))
    documents = list(TextFiles(str(path)).documents())
    assert [document.text for document in documents if isinstance(document, Document)] == ["aa"]
    assert all(
        "ffset" in document.reason for document in documents if isinstance(document, BadSample)
    )
