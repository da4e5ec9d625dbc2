"""Token ids on disk: made once, then mapped into memory.

A folder holds `tokens.bin` (uint16 or uint32, document after document), `offsets.npy` (first token
of each document, and the total), `num_bytes.npy` (what each document was made from, in bytes) and
`meta.json`. It appears under its name only when it is whole.
"""

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from lightning.pytorch.utilities.rank_zero import rank_zero_warn
from numpy.typing import NDArray

FORMAT = 1
"""Version of the layout; part of `meta.json`."""
Tokens = NDArray[np.uint16] | NDArray[np.uint32]
Meta = dict[str, object]
Documents = Iterable[tuple[Sequence[int], int]]
"""Token ids of each document, and the bytes it was made from."""


class TokenFileError(ValueError):
    """A folder is not a whole token file; the message names the file and what is wrong."""


@dataclass
class TokenFile:
    """A token file that was found whole.

    Attributes:
        folder: Where it lies.
        meta: What `meta.json` says.
        offsets: First token of each document, and the total at the end, int64 [documents + 1].
        num_bytes: Bytes that each document was made from, int64 [documents].
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
        """All token ids, mapped into memory on first use."""
        dtype = np.dtype(str(self.meta["dtype"]))
        if self.offsets[-1] == 0:
            return np.zeros(0, dtype)
        return np.asarray(np.memmap(self.folder / "tokens.bin", dtype, mode="r"))

    def __getstate__(self) -> dict[str, object]:
        """All but the mapping, which every process makes for itself."""
        return {name: value for name, value in vars(self).items() if name != "tokens"}


def open_token_file(folder: Path) -> TokenFile:
    """Open a token file and check that it is whole.

    Args:
        folder: Its folder.

    Returns:
        The file, its tokens not yet read.

    Raises:
        FileNotFoundError: There is no such folder.
        TokenFileError: A part is missing, unreadable or of the wrong size.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} does not exist.")
    try:
        meta = json.loads((folder / "meta.json").read_text())
        offsets = np.load(folder / "offsets.npy")
        num_bytes = np.load(folder / "num_bytes.npy")
        size = (folder / "tokens.bin").stat().st_size
        expected = int(offsets[-1]) * np.dtype(meta["dtype"]).itemsize
    except (OSError, ValueError, EOFError, KeyError, TypeError, IndexError) as error:
        raise TokenFileError(f"{folder} is broken: {error}") from error
    if size != expected or len(num_bytes) != len(offsets) - 1:
        file = folder / "tokens.bin"
        raise TokenFileError(f"{file} has {size} bytes, but its index speaks of {expected}.")
    return TokenFile(folder, meta, offsets, num_bytes)


def write_token_file(
    folder: Path, documents: Documents, vocab_size: int, describe: Callable[[], Meta]
) -> TokenFile:
    """Write a token file, all or nothing.

    It is written beside its place and then renamed. Where another process was faster, its whole
    file is kept and this one is thrown away; a broken one is replaced.

    Args:
        folder: Where it shall lie.
        documents: Ids in [0, vocab_size), and bytes, of each document.
        vocab_size: Number of ids; below 65536 an id takes two bytes, else four.
        describe: Called after the last document: what else `meta.json` shall say.

    Returns:
        The file, opened.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        _fill(draft, documents, "uint16" if vocab_size < 2**16 else "uint32", describe)
        draft.chmod(0o755)  # mkdtemp gives 700; others may share the cache
        _publish(draft, folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return open_token_file(folder)


def cached_token_file(folder: Path, write: Callable[[Path], TokenFile]) -> TokenFile:
    """Open a token file; write it first if it is not there or broken.

    Args:
        folder: Where it lies or shall lie.
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


def _fill(draft: Path, documents: Documents, dtype: str, describe: Callable[[], Meta]) -> None:
    """Write all four files."""
    lengths, num_bytes = [0], []
    with (draft / "tokens.bin").open("wb") as file:
        for ids, size in documents:
            file.write(np.asarray(ids, dtype).tobytes())
            lengths.append(len(ids))
            num_bytes.append(size)
    np.save(draft / "offsets.npy", np.cumsum(lengths, dtype=np.int64))
    np.save(draft / "num_bytes.npy", np.array(num_bytes, np.int64))
    counts = {"documents": len(num_bytes), "tokens": sum(lengths), "bytes": sum(num_bytes)}
    meta = {"format": FORMAT, "dtype": dtype, **counts, **describe()}
    (draft / "meta.json").write_text(json.dumps(meta, indent=1, ensure_ascii=False))
    for path in draft.iterdir():
        with path.open("rb") as file:
            os.fsync(file.fileno())


def _publish(draft: Path, folder: Path) -> None:
    """Give a finished folder its name, unless a whole one has it already."""
    try:
        draft.rename(folder)
    except OSError:  # something is there
        try:
            open_token_file(folder)
        except TokenFileError:
            aside = draft.with_name(draft.name + ".broken")
            folder.rename(aside)
            draft.rename(folder)
            shutil.rmtree(aside, ignore_errors=True)
