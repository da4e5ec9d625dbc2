"""Which members of tar files form the samples of a WebDataset, and counts of the others.

Members of one name up to the first dot belong together, such as `7.png` and `7.txt`. Names with
more dots are split at the last one where that forms a sample of its own: `a.b.png` and
`a.b.txt`. Members that belong to no sample are counted.
"""

import tarfile
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO

from lightning.pytorch.utilities.rank_zero import rank_zero_warn

from datamodules.records.document import printable
from datamodules.records.formats.files import is_litter
from datamodules.records.remote.file import File

IMAGES = ("jpg", "jpeg", "png", "webp")
"""Suffixes of images."""
TEXTS = ("txt", "json")
"""Suffixes of captions; where a sample has both, the first good one counts."""
NOWHERE = (-1, -1)
"""Offset and size of a missing member."""
NUM_THREADS = 8
"""Remote tars that are indexed at the same time."""
CHUNK = 2**20
"""Bytes of zeros that are skipped together."""
Extent = tuple[int, int]


@dataclass(frozen=True)
class Member:
    """A file within a tar.

    Attributes:
        stem: Folder and name up to the first dot.
        suffix: What follows the dot, in lower case.
        extent: First byte and size.
    """

    stem: str
    suffix: str
    extent: Extent

    @property
    def parts(self) -> tuple[str, str]:
        """Name of the sample and suffix, split at the last dot."""
        more, _, last = self.suffix.rpartition(".")
        return f"{self.stem}.{more}" if more else self.stem, last


@dataclass
class Sample:
    """Members that belong together.

    Attributes:
        name: What they have in common.
        parts: Their extents by suffix.
        is_unclear: Whether other members of the same name might belong to it as well.
    """

    name: str
    parts: dict[str, Extent] = field(default_factory=dict)
    is_unclear: bool = False

    @property
    def image(self) -> Extent:
        """The extent of its image: the first suffix of `IMAGES` that it has."""
        return next((self.parts[s] for s in IMAGES if s in self.parts), NOWHERE)

    def row(self, shard: int) -> list[int]:
        """Its row of the index: shard, image, text, JSON, and whether it is unclear."""
        texts = (self.parts.get(suffix, NOWHERE) for suffix in TEXTS)
        return [shard, *self.image, *(number for text in texts for number in text), self.is_unclear]


def read_tars(files: Sequence[File], passed: Counter[str]) -> Iterator[list[Sample]]:
    """The samples of each tar, in order; several remote ones are read at the same time.

    Args:
        files: The tars.
        passed: Receives the number of members that belong to no sample, by reason.

    Raises:
        ValueError: A file is not an uncompressed tar.
    """
    counts: list[Counter[str]] = [Counter() for _ in files]
    if all(isinstance(file, Path) for file in files):
        yield from map(read_tar, files, counts)
    else:
        with ThreadPoolExecutor(NUM_THREADS) as threads:
            yield from threads.map(read_tar, files, counts)
    for each in counts:
        passed.update(each)


def read_tar(file: File, passed: Counter[str]) -> list[Sample]:
    """The samples of a tar, in order.

    Args:
        file: The tar.
        passed: Receives the number of members that belong to no sample, by reason.

    Raises:
        ValueError: The file is not an uncompressed tar.
    """
    groups: dict[str, list[Member]] = {}
    for member in members(file, passed):
        groups.setdefault(member.stem, []).append(member)
    return [sample for group in groups.values() for sample in samples(group, passed)]


def samples(group: Sequence[Member], passed: Counter[str]) -> Iterator[Sample]:
    """The samples of members with one name up to the first dot."""
    names = names_of_samples(group)
    found: dict[str, list[Sample]] = {}
    for member in group:
        name, suffix = member.parts
        if name not in names or suffix not in IMAGES + TEXTS:
            passed[f".{member.suffix}" if member.suffix else "names without an ending"] += 1
            continue
        own = found.setdefault(name, [Sample(name)])
        if suffix in own[-1].parts:  # the same name again
            own.append(Sample(name))
        own[-1].parts[suffix] = member.extent
    for own in found.values():
        is_whole = all(s.image != NOWHERE and s.parts.keys() & set(TEXTS) for s in own)
        for sample in own:
            sample.is_unclear = len(own) > 1 and not is_whole
            seconds = [suffix for suffix in IMAGES if suffix in sample.parts][1:]
            passed.update(f".{suffix} beside another image" for suffix in seconds)
            yield sample


def names_of_samples(group: Sequence[Member]) -> set[str]:
    """Which names, up to the last dot, are samples and not further members of one.

    Beside `7.png`, `7.mask.png` is no sample, unless there is a `7.mask.txt` as well.
    """
    suffixes: dict[str, set[str]] = {}
    for member in group:
        name, suffix = member.parts
        suffixes.setdefault(name, set()).add(suffix)
    stem = group[0].stem
    with_image = {name for name, own in suffixes.items() if own & set(IMAGES)}
    if stem in with_image:
        return {stem} | {name for name in with_image if suffixes[name] & set(TEXTS)}
    return with_image | {stem} if with_image else set(suffixes)


def members(file: File, passed: Counter[str]) -> Iterator[Member]:
    """The files in a tar and in those concatenated to it, up to the first error.

    Raises:
        ValueError: The file is not an uncompressed tar.
    """
    count = 0
    start: int | None = 0
    try:
        with file.open("rb") as content:
            while start is not None:
                content.seek(start)
                with tarfile.open(fileobj=content, mode="r:") as tar:
                    for info in tar:
                        count += 1
                        yield from usable(info, passed)
                    start = following(content, tar.offset)
    except tarfile.TarError as error:
        if not count:
            raise ValueError(f"{file} cannot be read as an uncompressed tar: {error}") from error
        passed["the rest of a broken tar"] += 1
        rank_zero_warn(
            f"{printable(str(file))} ends after {count} members ({error}); the rest is skipped."
        )


def usable(info: tarfile.TarInfo, passed: Counter[str]) -> Iterator[Member]:
    """The member, if it is a regular file and not litter."""
    path = PurePosixPath(info.name)
    if info.isdir():
        return
    if is_litter(path):
        passed["litter of macOS or the like"] += 1
    elif not info.isreg() or info.issparse():
        passed["links and other members that are no plain files"] += 1
    else:
        stem, _, suffix = path.name.partition(".")
        yield Member(str(path.parent / stem), suffix.lower(), (info.offset_data, info.size))


def following(content: IO[bytes], offset: int) -> int | None:
    """Offset of the next of several concatenated tars; None where only zeros follow.

    Args:
        content: The whole file.
        offset: End of the last member of one.

    Raises:
        tarfile.ReadError: Something else follows, which `tarfile` accepts silently.
    """
    content.seek(offset)
    block = content.read(tarfile.BLOCKSIZE)
    if len(block) not in (0, tarfile.BLOCKSIZE) or block.strip(b"\0"):
        raise tarfile.ReadError(f"no header at byte {offset}")
    at = offset + len(block)
    while block := content.read(CHUNK):
        ahead = len(block) - len(block.lstrip(b"\0"))
        if ahead < len(block):
            return at + ahead - ahead % tarfile.BLOCKSIZE
        at += len(block)
    return None
