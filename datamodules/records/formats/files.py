"""Files of rows or texts: finding them, their formats and their decompressed bytes."""

import bz2
import gzip
import io
import json
import lzma
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from glob import glob
from pathlib import Path, PurePath
from typing import Any, BinaryIO, cast

from lightning.pytorch.utilities.rank_zero import rank_zero_warn
from typing_extensions import override

from datamodules.records.document import printable
from datamodules.records.errors import BadSampleError
from datamodules.records.remote.address import is_remote
from datamodules.records.remote.address import shown as hidden
from datamodules.records.remote.file import File, RemoteFile
from datamodules.records.remote.listing import listed
from datamodules.records.roots import at_home, missing
from engine.disk.digest import contents

FORMATS = {
    ".parquet": "Parquet",
    ".pq": "Parquet",
    ".arrow": "Arrow",
    ".feather": "Arrow",
    ".ipc": "Arrow",
    ".jsonl": "JSON",
    ".ndjson": "JSON",
    ".json": "JSON",
    ".csv": "CSV",
    ".tsv": "CSV",
}
"""File extension -> format of its rows; each may be followed by one of `COMPRESSIONS`."""
COMPRESSIONS = (".gz", ".zst", ".bz2", ".xz")
"""Extensions of compressed files."""
LITTER = ("__MACOSX", "Thumbs.db", "desktop.ini")
"""Files that operating systems leave; so are names that start with a dot or `~$`."""
NUM_SHOWN = 5
"""Files named in a message."""
CHUNK = 2**16
"""Bytes decompressed at once."""
LARGEST_WINDOW = 2**31
"""Maximum window of a Zstandard frame in bytes, as large as the format allows."""


def bare(file: File | PurePath) -> str:
    """The name of a file in lower case, without the extension of a compression."""
    name = file.name.lower()
    return name.rpartition(".")[0] if name.endswith(COMPRESSIONS) else name


def file_format(file: File) -> str:
    """Format of the rows of a file by its extension: a value of `FORMATS`, or ""."""
    return FORMATS.get(Path(bare(file)).suffix, "")


def shown(file: File) -> str:
    """The name of a file for messages; printable whatever its bytes are."""
    return printable(file.name)


def find_files(path: str, endings: Collection[str] = ()) -> list[File]:
    """The files that a path selects, sorted.

    An existing path is taken literally, brackets included. Litter of macOS, of notebooks
    and the like is left out, and a warning counts it. A folder that `save_to_disk` wrote gives
    the files that it lists.

    Args:
        path: A file; a folder, which selects every file below it with one of the endings; or
            a glob. Each may be a URL, which may also have brace ranges.
        endings: Extensions of the files of a folder, such as `.jsonl`, compressed or not; every
            file where there are none.

    Raises:
        FileNotFoundError: There is none.
        ValueError: A folder has several splits that `save_to_disk` wrote, or the URL cannot be
            used.
        OSError: The URL cannot be read.
    """
    if is_remote(path):
        return _remote(path, endings)
    root = at_home(path.removeprefix("file://"))
    if root.is_file():
        return [root]
    matches = [root] if root.exists() else _matches(root)
    folders = [match for match in matches if match.is_dir()]
    files = [match for match in matches if not match.is_dir()]
    if root.is_dir() or not files:
        files = [file for folder in folders for file in _below(folder, endings)]
    base = root if root.is_dir() else next(one for one in root.parents if one.exists())
    litter = [file for file in files if is_litter(file.relative_to(base))]
    good = sorted({*files} - {*litter})
    _tell_litter(path, litter)
    if good:
        return [*good]
    if not folders:
        raise missing(path)
    raise FileNotFoundError(f"{path} holds no file that ends in {', '.join(endings) or 'any'}.")


def _remote(url: str, endings: Collection[str]) -> list[File]:
    """The same of a URL."""
    found = listed(url, lambda name: bare(PurePath(name)).endswith(tuple(endings or [""])))
    litter = [file for file, below in found if is_litter(below)]
    _tell_litter(hidden(url), litter)
    good: list[File] = [file for file, below in found if not is_litter(below)]
    if not good:
        raise FileNotFoundError(f"{hidden(url)} holds none but hidden files.")
    return good


def opened(file: File) -> BinaryIO:
    """The bytes of a file, decompressed according to its extension.

    Raises:
        OSError: It cannot be opened. Reading raises OSError, EOFError or an error of the
            compression where the file is damaged or truncated.
    """
    suffix = file.suffix.lower()
    if suffix == ".zst":
        return cast(BinaryIO, io.BufferedReader(Zstandard(file.open("rb")), CHUNK))
    readers: dict[str, Callable[[Any], object]] = {
        ".gz": gzip.open,
        ".bz2": bz2.open,
        ".xz": lzma.open,
    }
    if suffix not in readers:
        return cast(BinaryIO, file.open("rb"))
    return cast(BinaryIO, readers[suffix](file if isinstance(file, Path) else file.open("rb")))


def refuse_encodings(head: bytes) -> None:
    """Raise a `BadSampleError` if the first bytes of a file show that it is not UTF-8."""
    if head.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in head[:4]:
        raise BadSampleError("UTF-16 or no text: convert it, as by iconv -f UTF-16 -t UTF-8")


class Zstandard(io.RawIOBase):
    """Reads all frames of a Zstandard file and refuses a truncated one.

    Args:
        file: The compressed bytes; closed with this.
    """

    def __init__(self, file: BinaryIO):
        import zstandard

        self.file = file
        self._decompressor = zstandard.ZstdDecompressor(max_window_size=LARGEST_WINDOW)
        self._frame = self._decompressor.decompressobj()
        self._is_begun = False  # whether the frame has received bytes
        self._read = b""  # compressed, after the frame
        self._left = b""  # decompressed, not yet returned

    @override
    def readable(self) -> bool:
        return True

    @override
    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        while not self._left:
            chunk = self._read or self.file.read(CHUNK)
            if not chunk and self._is_begun:
                raise EOFError("the compressed file is cut")
            if not chunk:
                return 0
            self._decompress(chunk)
        size = min(len(buffer), len(self._left))
        buffer[:size], self._left = self._left[:size], self._left[size:]
        return size

    def _decompress(self, chunk: bytes) -> None:
        """Feed the frame; start another where it ends."""
        self._left, self._read = self._frame.decompress(chunk), b""
        self._is_begun = not self._frame.eof
        if self._frame.eof:
            self._read = self._frame.unused_data
            self._frame = self._decompressor.decompressobj()

    @override
    def close(self) -> None:
        self.file.close()
        super().close()


def _matches(path: Path) -> list[Path]:
    """What a glob matches, part by part: an existing part is taken literally."""
    found = [Path(path.anchor)]
    for part in path.parts[len(Path(path.anchor).parts) :]:
        found = [match for folder in found for match in _part(folder, part)]
    return [match for match in dict.fromkeys(found) if os.path.lexists(match)]


def _part(folder: Path, part: str) -> list[Path]:
    if (folder / part).exists():
        return [folder / part]
    if not folder.is_dir():
        return []
    return [folder / name for name in sorted(glob(part, root_dir=folder, recursive=True))]


def _below(folder: Path, endings: Collection[str]) -> Iterator[Path]:
    """The wanted files below a folder, litter included."""
    known: set[str] = set()
    for place, folders, names in os.walk(folder, followlinks=True):
        folders.sort()
        here, real = Path(place), os.path.realpath(place)
        if real in known:  # links may lead in circles
            folders.clear()
            continue
        known.add(real)
        if "dataset_dict.json" in names:
            _refuse_splits(here)
        if {"state.json", "dataset_info.json"} <= set(names):
            state = json.loads((here / "state.json").read_bytes())
            names = [one["filename"] for one in state["_data_files"]]
            yield from (here / name for name in names if not endings or ".arrow" in endings)
            continue
        yield from (
            here / name
            for name in sorted(names)
            if bare(Path(name)).endswith(tuple(endings or [""]))
        )


def _refuse_splits(folder: Path) -> None:
    """Raise a ValueError where `save_to_disk` wrote several splits: they are not to be mixed."""
    splits = json.loads((folder / "dataset_dict.json").read_bytes())["splits"]
    if len(splits) > 1:
        raise ValueError(
            f"{folder} holds the splits {', '.join(splits)}: name one of these folders, such as "
            f"{folder / splits[0]}."
        )


def is_litter(path: PurePath) -> bool:
    """Whether an operating system created the file or a folder that contains it.

    Args:
        path: Counted from the folder that a user names.
    """
    parts = [part for part in path.parts if part != ".."]
    return any(part.startswith((".", "~$")) or part in LITTER for part in parts)


def _tell_litter(path: str, litter: Sequence[File]) -> None:
    if litter:
        names = ", ".join(shown(file) for file in litter[:NUM_SHOWN])
        more = ", ..." if litter[NUM_SHOWN:] else ""
        rank_zero_warn(
            f"{printable(path)}: {len(litter)} files that macOS, notebooks or the like left there "
            f"are passed over: {names}{more}."
        )


def describe(files: Iterable[File]) -> list[tuple[str, int, int | str]]:
    """Path, size in bytes and time of change in nanoseconds of each file; a version of remote ones.

    Whatever changes with the content of a file: what was made of it is made again then.
    """
    return [_described(file) for file in files]


def hashed(files: Sequence[File]) -> list[tuple[object, ...]]:
    """As `describe`, with a hash of the content of local files."""
    local = [file for file in files if isinstance(file, Path)]
    remote = [file for file in files if isinstance(file, RemoteFile)]
    return [*contents(local), *describe(remote)]


def _described(file: File) -> tuple[str, int, int | str]:
    if isinstance(file, RemoteFile):
        return file.identity
    stat = file.stat() if file.exists() else file.lstat()
    return str(file.absolute()), stat.st_size, stat.st_mtime_ns
