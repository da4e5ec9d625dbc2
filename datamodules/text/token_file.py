"""Token ids on disk: written once, then memory-mapped.

A folder holds `tokens.bin` (uint16 or uint32, document after document), `offsets.npy` (first token
of each document, and the total), `num_bytes.npy` (source size of each document in bytes),
`meta.json`, `seal.json` (hashes of the others, `engine.disk.seals`) and, where not every token is a
target, `targets.bin` (uint8, 1 where a token is a target). It appears under its name only when
it is complete.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
from lightning.pytorch.utilities.rank_zero import rank_zero_warn
from numpy.typing import NDArray

from engine.disk.seals import check, seal
from engine.disk.whole import whole

FORMAT = 2
"""Version of the layout and of the rules for good documents; part of `meta.json`."""
Tokens = NDArray[np.uint16] | NDArray[np.uint32]
Meta = dict[str, object]


class Encoded(NamedTuple):
    """A tokenised document.

    Attributes:
        ids: Its token ids.
        num_bytes: Size of the text of its targets, in bytes.
        is_target: Which of the tokens are targets; None for all.
    """

    ids: Sequence[int]
    num_bytes: int
    is_target: Sequence[bool] | None = None


Documents = Iterable[Encoded] | Iterable[tuple[Sequence[int], int]]
"""Token ids of each document, and its size in bytes."""


class TokenFileError(ValueError):
    """A folder is not a complete token file; the message names the file and the problem."""


@dataclass
class TokenFile:
    """A complete token file.

    Attributes:
        folder: Its folder.
        meta: Contents of `meta.json`.
        offsets: First token of each document, and the total at the end, int64 [documents + 1].
        num_bytes: Source size of each document in bytes, int64 [documents].
    """

    folder: Path
    meta: Meta
    offsets: NDArray[np.int64] = field(repr=False)
    num_bytes: NDArray[np.int64] = field(repr=False)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens of each document, int64 [documents]."""
        return np.diff(self.offsets)

    @cached_property
    def tokens(self) -> Tokens:
        """All token ids, memory-mapped on first use."""
        dtype = np.dtype(str(self.meta["dtype"]))
        if self.offsets[-1] == 0:
            return np.zeros(0, dtype)
        return np.asarray(np.memmap(self.folder / "tokens.bin", dtype, mode="r"))

    @cached_property
    def is_target(self) -> NDArray[np.uint8] | None:
        """1 where a token is a target, memory-mapped on first use; None if all are."""
        if not self.meta.get("targets") or self.offsets[-1] == 0:
            return None
        return np.asarray(np.memmap(self.folder / "targets.bin", np.uint8, mode="r"))

    def __getstate__(self) -> dict[str, object]:
        """Everything except the memory maps, which every process opens itself."""
        mapped = ("tokens", "is_target")
        return {name: value for name, value in vars(self).items() if name not in mapped}


def open_token_file(folder: Path) -> TokenFile:
    """Open a token file and check that it is complete.

    Args:
        folder: Its folder.

    Returns:
        The file, its tokens not yet read.

    Raises:
        FileNotFoundError: There is no such folder.
        TokenFileError: A part is missing, unreadable, damaged or of the wrong size.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} does not exist.")
    try:
        meta = json.loads((folder / "meta.json").read_text())
        offsets = np.load(folder / "offsets.npy")
        num_bytes = np.load(folder / "num_bytes.npy")
        size = (folder / "tokens.bin").stat().st_size
        expected = int(offsets[-1]) * np.dtype(meta["dtype"]).itemsize
    except Exception as error:  # whatever json and numpy raise on a damaged file
        raise TokenFileError(f"{folder} is broken: {error}.") from error
    if size != expected or len(num_bytes) != len(offsets) - 1:
        file = folder / "tokens.bin"
        raise TokenFileError(f"{file} has {size} bytes, but its index speaks of {expected}.")
    try:
        check(folder)
    except Exception as error:
        raise TokenFileError(f"{folder} is broken: {error}.") from error
    return TokenFile(folder, meta, offsets, num_bytes)


def is_token_file(folder: Path) -> bool:
    """Whether a folder is a whole token file."""
    try:
        open_token_file(folder)
    except TokenFileError:
        return False
    return True


def write_token_file(
    folder: Path, documents: Documents, vocab_size: int, describe: Callable[[], Meta]
) -> TokenFile:
    """Write a token file, all or nothing.

    It is written under another name, then renamed. If another process was faster, its complete
    file is kept and this one is discarded; a broken one is replaced.

    Args:
        folder: Where it is written.
        documents: Ids in [0, vocab_size), and bytes, of each document.
        vocab_size: Number of ids; below 65536 an id takes two bytes, else four.
        describe: Called after the last document; returns further entries of `meta.json`.

    Returns:
        The file, opened.
    """
    with whole(folder, is_token_file) as draft:
        draft.mkdir()
        _fill(draft, documents, "uint16" if vocab_size < 2**16 else "uint32", describe)
    return open_token_file(folder)


def cached_token_file(folder: Path, write: Callable[[Path], TokenFile]) -> TokenFile:
    """Open a token file; write it first if it is missing or broken.

    Args:
        folder: Where it is or will be written.
        write: Writes it there.

    Returns:
        The file, opened.
    """
    try:
        return open_token_file(folder)
    except FileNotFoundError:
        return write(folder)
    except TokenFileError as error:
        rank_zero_warn(f"{error} It is made again.")
        return write(folder)


def _fill(folder: Path, documents: Documents, dtype: str, describe: Callable[[], Meta]) -> None:
    """Write all files."""
    token_path, target_path = folder / "tokens.bin", folder / "targets.bin"
    with token_path.open("wb") as tokens, target_path.open("wb") as targets:
        lengths, num_bytes = _write(documents, dtype, tokens, targets)
        are_chosen = targets.tell() > 0
    if not are_chosen:
        target_path.unlink()
    np.save(folder / "offsets.npy", np.cumsum([0, *lengths], dtype=np.int64))
    np.save(folder / "num_bytes.npy", np.array(num_bytes, np.int64))
    counts = {"documents": len(num_bytes), "tokens": sum(lengths), "bytes": sum(num_bytes)}
    meta = {"format": FORMAT, "dtype": dtype, **counts, "targets": are_chosen, **describe()}
    (folder / "meta.json").write_text(json.dumps(meta, indent=1, ensure_ascii=False))
    seal(folder)


def _write(
    documents: Documents, dtype: str, tokens: BinaryIO, targets: BinaryIO
) -> tuple[list[int], list[int]]:
    """Write tokens, and target flags if any document has them; returns lengths and bytes.

    Raises:
        ValueError: Some documents have target flags, and others do not.
    """
    lengths, num_bytes = [], []
    for one in documents:
        ids, size, is_target = Encoded(*one)
        tokens.write(np.asarray(ids, dtype).tobytes())
        lengths.append(len(ids))
        num_bytes.append(size)
        if is_target is not None:
            targets.write(np.asarray(is_target, np.uint8).tobytes())
    if targets.tell() not in (0, sum(lengths)):
        raise ValueError(f"{sum(lengths)} tokens, but {targets.tell()} are said to be targets.")
    return lengths, num_bytes
