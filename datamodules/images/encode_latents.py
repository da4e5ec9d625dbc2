"""Encodes the images of a source by an autoencoder; the files are described in `latents`."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from datamodules.images.latents import FORMAT
from datamodules.images.preprocess import MAX_PIXELS, StoredImage, latent
from datamodules.images.source import ImageSource, Interleaved, Pair, Segment
from datamodules.images.vae import ImageVae
from datamodules.records.document import BadSample
from datamodules.records.faults import attempt
from datamodules.records.sample_tally import SampleTally
from engine.disk.bar import watched
from engine.disk.whole import whole


def store_latents(
    source: ImageSource,
    vae: ImageVae,
    folder: Path,
    image_size: int,
    batch_size: int = 16,
    max_bad_rate: float = 0.01,
    max_pixels: int = MAX_PIXELS,
) -> dict[str, object]:
    """Encode all images of a source, all or nothing.

    Args:
        source: Where the documents come from.
        vae: The autoencoder.
        folder: Where to write; must not exist.
        image_size: Side of the central square that is encoded, in pixels.
        batch_size: Images that are encoded together.
        max_bad_rate: Highest share of bad documents, in [0, 1].
        max_pixels: Pixels of the largest image file that is opened.

    Returns:
        The content of `meta.json`.

    Raises:
        FileExistsError: The folder exists.
        ValueError: Too many documents are bad, or the size does not fit the autoencoder.
    """
    if folder.exists():
        raise FileExistsError(f"{folder} exists already; choose another or remove it.")
    if image_size % vae.reduction:
        raise ValueError(
            f"image_size must be a multiple of {vae.reduction} for {vae.name}, got {image_size}."
        )
    with whole(folder) as draft:
        draft.mkdir()
        tally = SampleTally(source.name, len(source), max_bad_rate, draft / "bad_samples.jsonl")
        documents = watched(
            decoded(source, image_size, tally, max_pixels),
            " documents",
            f"encoding {source.name}",
            len(source),
        )
        meta = _write(draft, documents, vae, image_size, batch_size)
        meta |= {"bad": tally.bad, "source": source.name}
        meta |= {"source_fingerprint": source.fingerprint()}
        (draft / "meta.json").write_text(json.dumps(meta, indent=1, ensure_ascii=False))
    return meta


def decoded(
    source: ImageSource, size: int, tally: SampleTally, max_pixels: int = MAX_PIXELS
) -> Iterator[Pair | Interleaved]:
    """The good documents of a source, images as pixels in [-1, 1], float32 [3, size, size]."""

    def pixels(image: StoredImage) -> NDArray[np.float32]:
        return latent(image, (3, size, size), max_pixels)

    def document(index: int) -> Pair | Interleaved:
        sample = source.sample(index, Random(f"latents/{index}"))
        if isinstance(sample, Pair):
            return Pair(pixels(sample.image), sample.captions)
        return [s if isinstance(s, str) else Segment(pixels(s.image), s.is_target) for s in sample]

    for index in range(len(source)):
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


def _write(
    draft: Path, documents: Iterator[Pair | Interleaved], vae: ImageVae, size: int, batch_size: int
) -> dict[str, object]:
    """Write moments and documents; returns their part of `meta.json`."""
    num_documents = 0
    with (draft / "moments.bin").open("wb") as file, (draft / "documents.jsonl").open("w") as lines:
        moments = Moments(vae, batch_size, file)
        for document in documents:
            lines.write(json.dumps(_record(document, moments.add)) + "\n")
            num_documents += 1
        moments.flush()
    side = size // vae.reduction
    return {
        "format": FORMAT,
        "documents": num_documents,
        "images": moments.count,
        "shape": [moments.count, 2 * vae.channels, side, side],
        "scaling": {"scale": vae.scaling.scale, "shift": vae.scaling.shift},
        "vae": vae.name,
    }


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
