"""Encodes the images of a source by an autoencoder; the files are described in `latents`."""

import json
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from datamodules.images.latents import FORMAT
from datamodules.images.preprocess import MAX_PIXELS, StoredImage, latent
from datamodules.images.source import ImageSource, Interleaved, Pair, Segment
from datamodules.images.vae import ImageVae
from datamodules.records.document import BadSample
from datamodules.records.faults import attempt
from datamodules.records.formats.files import describe
from datamodules.records.roots import at_home
from datamodules.records.sample_tally import SampleTally
from engine.disk.bar import watched
from engine.disk.whole import whole


@dataclass(frozen=True)
class Share:
    """Which parts of the work a process does.

    Attributes:
        rank: Its number, from 0.
        world_size: Number of processes.
        part_size: Documents of a part; the parts are the same for any number of processes.
    """

    rank: int = 0
    world_size: int = 1
    part_size: int = 4096


ALONE = Share()
"""A process without others."""


def store_latents(
    source: ImageSource,
    vae: ImageVae,
    folder: Path,
    image_size: int,
    batch_size: int = 16,
    max_bad_rate: float = 0.01,
    max_pixels: int = MAX_PIXELS,
    share: Share = ALONE,
) -> dict[str, Any] | None:
    """Encode the images of a source, in parts that are written whole; continues where it stopped.

    Parts are collected in `FOLDER.parts`, by as many processes as there are. Whichever finds them
    complete gives that folder its name.

    Args:
        source: Where the documents come from.
        vae: The autoencoder.
        folder: Where to write; must not exist, unless it holds just that.
        image_size: Side of the central square that is encoded, in pixels.
        batch_size: Images that are encoded together.
        max_bad_rate: Highest share of bad documents, in [0, 1].
        max_pixels: Pixels of the largest image file that is opened.
        share: What this process does.

    Returns:
        The content of `meta.json`; None where parts of other processes are not done yet.

    Raises:
        FileExistsError: The folder exists, or its parts are of other images or another autoencoder.
        ValueError: Too many documents are bad, or the size does not fit the autoencoder.
    """
    if image_size % vae.reduction:
        raise ValueError(
            f"image_size must be a multiple of {vae.reduction} for {vae.name}, got {image_size}."
        )
    sizes = [image_size, batch_size, max_pixels, share.part_size]
    about = [FORMAT, source.fingerprint(), vae.name, described(vae.name), *sizes]
    plan = json.loads(json.dumps(about))  # as it is read back
    if folder.exists():
        return _complete(folder, plan)
    parts, count = folder.with_name(f"{folder.name}.parts"), -(-len(source) // share.part_size)
    _begin(parts, plan)
    tally = SampleTally(source.name, len(source), max_bad_rate)
    own = range(share.rank, count, share.world_size)
    for number in watched(own, " parts", f"encoding {source.name}", len(own)):
        if not (part := parts / f"{number:05}").exists():
            with whole(part, keeps=lambda _: True) as draft:
                indices = range(len(source))[number * share.part_size :][: share.part_size]
                documents = decoded(source, image_size, tally, max_pixels, indices)
                _write_part(draft, documents, vae, batch_size, tally)
        else:
            _count(tally, json.loads((part / "meta.json").read_text()))
    names = [f"{number:05}" for number in range(count)]
    if not all((parts / name).exists() for name in names):
        return None if not folder.exists() else _complete(folder, plan)
    told = {"plan": plan, "source": source.name, "source_fingerprint": source.fingerprint()}
    return _publish(parts, folder, names, told | _shape(vae, image_size), max_bad_rate)


def described(vae: str) -> list[tuple[str, int, int | str]]:
    """The files of an autoencoder, if it is a folder of this machine."""
    return describe(file for file in sorted(at_home(vae).rglob("*")) if file.is_file())


def decoded(
    source: ImageSource,
    size: int,
    tally: SampleTally,
    max_pixels: int = MAX_PIXELS,
    indices: Iterable[int] | None = None,
) -> Iterator[Pair | Interleaved]:
    """The good documents of a source, images as pixels in [-1, 1], float32 [3, size, size]."""

    def pixels(image: StoredImage) -> NDArray[np.float32]:
        return latent(image, (3, size, size), max_pixels)

    def document(index: int) -> Pair | Interleaved:
        sample = source.sample(index, Random(f"latents/{index}"))
        if isinstance(sample, Pair):
            return Pair(pixels(sample.image), sample.captions)
        return [s if isinstance(s, str) else Segment(pixels(s.image), s.is_target) for s in sample]

    for index in range(len(source)) if indices is None else indices:
        found = attempt(source.location(index), document, index)
        if isinstance(found, BadSample):
            tally.note(1, [found])
        else:
            tally.note(1, [])
            yield found


class Moments:
    """Encodes images in batches and writes them one after the other.

    Args:
        vae: The autoencoder.
        batch_size: Images that are encoded together.
        file: Where they are written.
    """

    def __init__(self, vae: ImageVae, batch_size: int, file: BinaryIO):
        self.vae = vae
        self.batch_size = batch_size
        self.file = file
        self.count = 0
        self._waiting: list[NDArray[np.float32]] = []

    def add(self, pixels: StoredImage) -> int:
        """Take an image, [3, H, W] in [-1, 1]; returns its index."""
        self._waiting.append(np.asarray(pixels, np.float32))
        self.count += 1
        if len(self._waiting) == self.batch_size:
            self.flush()
        return self.count - 1

    def flush(self) -> None:
        """Encode and write the images collected so far."""
        if self._waiting:
            moments = self.vae.moments(np.stack(self._waiting))
            self.file.write(moments.astype(np.float16).tobytes())
            self._waiting.clear()


def _begin(parts: Path, plan: list[object]) -> None:
    """Make the folder of parts, or go on with one of the same plan."""
    file = parts / "plan.json"
    if not file.is_file():
        with whole(file) as draft:
            draft.write_text(json.dumps(plan))
    if json.loads(file.read_text()) != plan:
        raise FileExistsError(
            f"{parts} holds parts of other images, sizes or another autoencoder; remove it."
        )


def _complete(folder: Path, plan: list[object]) -> dict[str, Any]:
    """The content of `meta.json` of a folder that holds just what is to be written."""
    file = folder / "meta.json"
    meta: dict[str, Any] = json.loads(file.read_text()) if file.is_file() else {}
    if meta.get("plan") != plan:
        raise FileExistsError(f"{folder} exists already; choose another or remove it.")
    return meta


def _count(tally: SampleTally, meta: dict[str, int]) -> None:
    """Count the documents of a part that is done."""
    tally.drawn += meta["documents"] + meta["bad"]
    tally.bad += meta["bad"]
    tally.sound += meta["documents"]


def _write_part(
    draft: Path,
    documents: Iterator[Pair | Interleaved],
    vae: ImageVae,
    batch_size: int,
    tally: SampleTally,
) -> None:
    """Write moments, documents, bad documents and counts of a part."""
    draft.mkdir()
    tally.file, bad_before, num_documents = draft / "bad_samples.jsonl", tally.bad, 0
    with (draft / "moments.bin").open("wb") as file, (draft / "documents.jsonl").open("w") as lines:
        moments = Moments(vae, batch_size, file)
        for document in documents:
            lines.write(json.dumps(_record(document, moments.add)) + "\n")
            num_documents += 1
        moments.flush()
    counts = {"documents": num_documents, "images": moments.count, "bad": tally.bad - bad_before}
    (draft / "meta.json").write_text(json.dumps(counts))


def _shape(vae: ImageVae, size: int) -> dict[str, Any]:
    """What `meta.json` says of each image."""
    side = size // vae.reduction
    return {
        "shape": [2 * vae.channels, side, side],
        "scaling": {"scale": vae.scaling.scale, "shift": vae.scaling.shift},
        "vae": vae.name,
    }


def _publish(
    parts: Path, folder: Path, names: list[str], about: dict[str, Any], max_bad_rate: float
) -> dict[str, Any]:
    """Merge the counts of complete parts and give their folder its name."""
    try:
        metas = [json.loads((parts / name / "meta.json").read_text()) for name in names]
        total = {key: sum(meta[key] for meta in metas) for key in ("documents", "images", "bad")}
        num = total["documents"] + total["bad"]
        if total["bad"] > max_bad_rate * max(1, num):
            raise ValueError(
                f"{total['bad']} of {num} samples of {about['source']} are bad, more than "
                f"max_bad_rate={max_bad_rate:.2%} allows (listed in the folders of {parts})."
            )
        shape = [total["images"], *about.pop("shape")]
        listed = [
            {"name": name, "images": meta["images"]}
            for name, meta in zip(names, metas, strict=True)
        ]
        meta = {"format": FORMAT, **total, "shape": shape, **about, "parts": listed}
        bad = [parts / name / "bad_samples.jsonl" for name in names]
        if lines := "".join(file.read_text() for file in bad if file.exists()):
            with whole(parts / "bad_samples.jsonl") as draft:
                draft.write_text(lines)
        with whole(parts / "meta.json") as draft:
            draft.write_text(json.dumps(meta, indent=1, ensure_ascii=False))
        os.rename(parts, folder)
    except OSError:
        if (folder / "meta.json").is_file():  # another process was first
            return _complete(folder, about["plan"])
        raise
    return meta


def _record(document: Pair | Interleaved, add: Callable[[StoredImage], int]) -> dict[str, object]:
    """A document as JSON, its images by index."""
    if isinstance(document, Pair):
        return {"captions": list(document.captions), "image": add(document.image)}
    return {
        "segments": [
            {"text": s} if isinstance(s, str) else {"image": add(s.image), "is_target": s.is_target}
            for s in document
        ]
    }
