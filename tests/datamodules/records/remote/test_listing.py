"""Which remote files a URL selects, and what is told where it selects none."""

import time

import pytest

from datamodules.records.errors import MisfitError
from datamodules.records.formats.files import find_files
from datamodules.records.remote.address import expanded, short_name, shown
from tests.fixtures.remote import served, store


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "set"
    names = "a/0.tar a/1.tar a-b/2.tar x/3.txt .hidden/4.tar __MACOSX/5.tar a/6.tar.gz".split()
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode())
    return folder


@pytest.mark.filterwarnings("ignore:.*files that macOS")
@pytest.mark.parametrize(
    "pattern", ["", "/", "/a/*.tar", "/*/*.tar", "/a/0.tar", "/**/*.tar", "/a*"]
)
def test_a_store_gives_the_files_of_a_folder_in_the_same_order(pattern, folder):
    url = store(folder, "listed")
    found = [str(file).removeprefix(url) for file in find_files(url + pattern, [".tar"])]
    local = find_files(f"{folder}{pattern}", [".tar"])
    assert found == [str(file).removeprefix(str(folder)) for file in local]


def test_braces_stand_for_ranges_and_alternatives():
    assert expanded("s3://b/{08..10}.tar") == [f"s3://b/{n}.tar" for n in ("08", "09", "10")]
    assert expanded("{a,b}/{0..1}") == ["a/0", "a/1", "b/0", "b/1"]
    assert expanded("s3://b/{x}.tar") == ["s3://b/{x}.tar"]
    with pytest.raises(ValueError, match=r"\{3\.\.1\} falls; write \{1\.\.3\}"):
        expanded("s3://b/{3..1}.tar")
    with pytest.raises(ValueError, match=r"more than 1,000,000"):
        expanded("s3://b/{0..9999}/{0..9999}.tar")
    with pytest.raises(ValueError, match=r"more than 1,000,000"):
        expanded("s3://b/{0..99999999999}.tar")


def test_passwords_and_queries_are_never_shown():
    assert shown("https://u:pw@host/a.tar?sig=1 and s3://k:v@b/x?.tar") == (
        "https://host/a.tar and s3://b/x?.tar"
    )
    assert short_name("https://host/set/a.tar?sig=a/b") == "set/a.tar"


@pytest.mark.parametrize(
    ("url", "kind", "message"),
    [
        ("memory://none/*.tar", FileNotFoundError, r"memory://none/\*\.tar does not exist\."),
        ("memory://none/0.tar", FileNotFoundError, r"memory://none/0\.tar does not exist\."),
        ("abfs://b/0.tar", MisfitError, "abfs:// needs a package: uv pip install adlfs"),
        ("odd://b/0.tar", MisfitError, "no protocol is called odd"),
        ("https://host/*.tar?k=secret", MisfitError, "HTTP lists no folders"),
        ("s3://key:secret@b/0.tar", MisfitError, "a URL in a config must hold no password"),
        ("simplecache::s3://b/0.tar", FileNotFoundError, "does not exist"),
        ("http://127.0.0.1:9/0.tar?k=secret", OSError, "cannot be read: ClientConnector"),
    ],
)
def test_what_cannot_be_listed_is_told_in_one_line_soon(url, kind, message):
    start = time.monotonic()
    with pytest.raises(kind, match=message) as told:
        find_files(url, [".tar"])
    assert time.monotonic() - start < 5
    assert "\n" not in str(told.value)
    assert "secret" not in str(told.value)


def test_a_glob_that_matches_nothing_is_told_apart_from_a_missing_folder(folder):
    with pytest.raises(FileNotFoundError, match=r"/a/\*\.zip: no file there matches"):
        find_files(f"{store(folder, 'listed')}/a/*.zip")
    with pytest.raises(FileNotFoundError, match=r"/q/\*\.tar does not exist"):
        find_files(f"{store(folder, 'listed')}/q/*.tar")


def test_a_web_server_says_what_is_missing_or_forbidden(folder):
    with served(folder) as server:
        [file] = find_files(f"{server.url}/a/0.tar")
        assert file.read_bytes() == b"a/0.tar"
        with pytest.raises(FileNotFoundError, match=r"/a/7\.tar does not exist\."):
            find_files(f"{server.url}/a/{{0,7}}.tar")
        server.forbidden = ("a/1.tar",)
        with pytest.raises(PermissionError, match=r"/a/1\.tar must not be read: 403"):
            find_files(f"{server.url}/a/{{0..1}}.tar?k=secret")
