"""Which members of tar files make up the samples of a WebDataset, and what becomes of the others.

Members of one name up to the first dot belong together, such as `7.png` and `7.txt`. Names with
more dots are taken apart at the last one where that makes a sample of its own: `a.b.png` and
`a.b.txt`. Whatever is part of no sample is counted.
"""

import tarfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO

from lightning.pytorch.utilities.rank_zero import rank_zero_warn

from datamodules.records.document import printable
from datamodules.records.formats.files import is_litter

IMAGES = ("jpg", "jpeg", "png", "webp")
"""Suffixes of images."""
TEXTS = ("txt", "json")
"""Suffixes of captions; where a sample has both, the first good one counts."""
NOWHERE = (-1, -1)
"""Place and size of what is not there."""
CHUNK = 2**20
"""Bytes of zeros that are skipped together."""
Place = tuple[int, int]


@dataclass(frozen=True)
class Member:
    """A file within a tar.

    Attributes:
        stem: Folder and name up to the first dot.
        suffix: What follows the dot, in lower case.
        place: First byte and size.
    """

    stem: str
    suffix: str
    place: Place

    @property
    def parts(self) -> tuple[str, str]:
        """Name of the sample and suffix, parted at the last dot."""
        more, _, last = self.suffix.rpartition(".")
        return f"{self.stem}.{more}" if more else self.stem, last


@dataclass
class Sample:
    """Members that belong together.

    Attributes:
        name: What they have in common.
        parts: Their places by suffix.
        is_unclear: Whether other members of the same names might as well belong to it.
    """

    name: str
    parts: dict[str, Place] = field(default_factory=dict)
    is_unclear: bool = False

    @property
    def image(self) -> Place:
        """Of the image that counts."""
        return next((self.parts[s] for s in IMAGES if s in self.parts), NOWHERE)

    def row(self, shard: int) -> list[int]:
        """What the index says of it: shard, image, text, JSON, and whether it is unclear."""
        texts = (self.parts.get(suffix, NOWHERE) for suffix in TEXTS)
        return [shard, *self.image, *(number for text in texts for number in text), self.is_unclear]


def read_tar(file: Path, passed: Counter[str]) -> list[Sample]:
    """The samples of a tar, in order.

    Args:
        file: The tar.
        passed: Gets how many members are part of no sample, by reason.

    Raises:
        ValueError: The file is no uncompressed tar at all.
    """
    groups: dict[str, list[Member]] = {}
    for member in members(file, passed):
        groups.setdefault(member.stem, []).append(member)
    return [sample for group in groups.values() for sample in samples(group, passed)]


def samples(group: Sequence[Member], passed: Counter[str]) -> Iterator[Sample]:
    """The samples of members that are named alike up to the first dot."""
    names = names_of_samples(group)
    found: dict[str, list[Sample]] = {}
    for member in group:
        name, suffix = member.parts
        if name not in names or suffix not in IMAGES + TEXTS:
            passed[f".{member.suffix}" if member.suffix else "names without an ending"] += 1
            continue
        own = found.setdefault(name, [Sample(name)])
        if suffix in own[-1].parts:  # the same name once more
            own.append(Sample(name))
        own[-1].parts[suffix] = member.place
    for own in found.values():
        is_whole = all(s.image != NOWHERE and s.parts.keys() & set(TEXTS) for s in own)
        for sample in own:
            sample.is_unclear = len(own) > 1 and not is_whole
            seconds = [suffix for suffix in IMAGES if suffix in sample.parts][1:]
            passed.update(f".{suffix} beside another image" for suffix in seconds)
            yield sample


def names_of_samples(group: Sequence[Member]) -> set[str]:
    """Which names, up to the last dot, are samples and not further members of one.

    Beside `7.png` stands `7.mask.png`, which is no sample, unless there is a `7.mask.txt` as well.
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


def members(file: Path, passed: Counter[str]) -> Iterator[Member]:
    """The files in a tar and in those joined to it, up to where it breaks.

    Raises:
        ValueError: The file is no uncompressed tar at all.
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
            f"{printable(str(file))} breaks off after {count} members ({error}); the rest is "
            "skipped."
        )


def usable(info: tarfile.TarInfo, passed: Counter[str]) -> Iterator[Member]:
    """The member, if it is a file that is not litter."""
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
    """Where the next of several joined tars begins; None where only zeros follow.

    Args:
        content: All of them.
        offset: Where the last member of one ends.

    Raises:
        tarfile.ReadError: Something else follows, which `tarfile` lets pass.
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
