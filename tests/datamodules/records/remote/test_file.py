"""Reading remote files: parts, retries, and texts as of local files."""

import bz2
import gzip
import lzma
from typing import ClassVar

import pytest

from datamodules.records.document import Document
from datamodules.records.formats.files import find_files
from datamodules.records.indexed_rows import IndexedRows
from datamodules.records.remote.file import RemoteFile, parts
from datamodules.records.remote.retry import DOWN, explained
from datamodules.text.files import PlainText, TextFiles
from tests.fixtures.remote import served, store

DATA = bytes(range(256)) * 40


@pytest.fixture(autouse=True)
def own_copies(tmp_path, monkeypatch):
    monkeypatch.setenv("TRAINER_REMOTE_CACHE", str(tmp_path / "copies"))


@pytest.mark.parametrize("manners", [{}, {"has_ranges": False}, {"fails": 3}])
def test_parts_are_read_from_servers_of_all_manners(manners, tmp_path):
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "a.bin").write_bytes(DATA)
    with served(tmp_path / "set", **manners) as server:
        [file] = find_files(f"{server.url}/a.bin")
        assert isinstance(file, RemoteFile)
        assert file.part(300, 20) == DATA[300:320]
        assert file.part(len(DATA) - 5, 20) == DATA[-5:]
        assert file.part(len(DATA) + 5, 20) == b""
        assert parts(file, [(600, 4), (10, 5)]) == [DATA[600:604], DATA[10:15]]
        with file.open() as source:
            assert source.read(3) == DATA[:3]
            source.seek(-2, 2)
            assert source.read() == DATA[-2:]


def test_a_server_that_stays_down_is_told_once_its_retries_are_used(tmp_path, monkeypatch):
    monkeypatch.setenv("TRAINER_REMOTE_RETRIES", "2")
    (tmp_path / "a.bin").write_bytes(DATA)
    with served(tmp_path) as server:
        [file] = find_files(f"{server.url}/a.bin?k=secret")
        server.fails, server.requests[:] = 1, []
        with pytest.raises(OSError, match=r"a\.bin cannot be read: status 503, after 2 retries$"):
            file.read_bytes()
        assert len(server.requests) == 3
        with pytest.raises(OSError, match=r"status 503$"):  # known to be down
            file.read_bytes()
        assert len(server.requests) == 4
        server.fails = 0
        assert file.read_bytes() == DATA
        assert server.url.removeprefix("http://") not in DOWN


def test_a_wrong_number_of_retries_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("TRAINER_REMOTE_RETRIES", "many")
    with pytest.raises(ValueError, match="REMOTE_RETRIES must be a number from 0, got 'many'"):
        find_files("memory://none/0.tar")


def test_errors_of_other_stores_are_told_by_their_status():
    class ClientError(Exception):
        """As botocore raises it."""

        response: ClassVar = {"ResponseMetadata": {"HTTPStatusCode": 404}}

    class HttpError(Exception):
        """As gcsfs raises it."""

        code = "403"

    missing = explained(ClientError("The specified bucket does not exist"), "s3://b/0.tar")
    assert isinstance(missing, FileNotFoundError)
    assert str(missing) == "s3://b/0.tar does not exist (The specified bucket does not exist)."
    assert isinstance(explained(HttpError("no"), "gs://b/0.tar"), PermissionError)
    assert "from what gs tools use" in str(explained(HttpError("no"), "gs://b/0.tar"))


LINES = b'{"text": "one"}\n\n{"text": "two"}\nbroken\n'
FILES = {
    "a.jsonl": LINES,
    "b.jsonl.gz": gzip.compress(LINES),
    "c.jsonl.bz2": bz2.compress(LINES),
    "d.jsonl.xz": lzma.compress(LINES),
    "e.csv": b"text,n\nthree,1\n",
}


def test_texts_of_a_store_are_those_of_a_folder(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq
    import zstandard

    folder = tmp_path / "texts"
    folder.mkdir()
    for name, data in FILES.items():
        (folder / name).write_bytes(data)
    (folder / "f.jsonl.zst").write_bytes(zstandard.compress(LINES))
    pq.write_table(pa.table({"text": ["four", "five"]}), folder / "g.parquet", row_group_size=1)
    local, url = TextFiles(str(folder)), store(folder, "texts")
    expected = list(local.documents())
    assert len(expected) == 5 * 3 + 1 + 2
    assert list(TextFiles(url).documents()) == expected
    (folder / "h.txt").write_bytes(b"six\nseven\n\neight\n")
    plain = {"separator": "\n\n", "span": (0.0, 0.9)}
    url = store(folder, "texts")
    found = list(PlainText(f"{url}/h.txt", **plain).documents())
    assert found == list(PlainText(str(folder / "h.txt"), **plain).documents())
    assert isinstance(found[0], Document)
    before = TextFiles(url).fingerprint()
    (folder / "e.csv").write_bytes(b"text,n\nthree,2\n")
    assert TextFiles(store(folder, "texts")).fingerprint() != before


def test_rows_of_json_are_read_one_by_one(tmp_path):
    (tmp_path / "a.jsonl").write_bytes(LINES)
    with served(tmp_path) as server:
        rows = IndexedRows(find_files(f"{server.url}/a.jsonl"))
        assert len(rows) == 3
        server.requests.clear()
        assert rows.record(1) == {"text": "two"}
        assert [asked for _, _, asked in server.requests] == ["bytes=17-32"]
        assert rows.location(1) == f"{server.url}/a.jsonl:3"
