"""Prompts of `predict`: an image of a caption, a caption of an image, a continued document.

Shape legend: L = tokens; C, H, W = channels, height and width of latents.
"""

import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from datamodules.images.interleaved import read_segments
from datamodules.images.preprocess import MAX_PIXELS, StoredImage, latent
from datamodules.images.source import Interleaved
from datamodules.images.vae import ImageVae
from datamodules.records.document import BadSample, Blank, to_document
from datamodules.records.errors import BadSampleError
from datamodules.records.faults import attempt
from datamodules.records.formats.columns import Record
from datamodules.records.formats.files import file_format, shown
from datamodules.records.formats.open import read_rows
from datamodules.records.row_tally import RowTally
from datamodules.records.table import text
from datamodules.stream.loader import Batch
from datamodules.text.prompts import prompt_file, prompt_lines
from datamodules.text.tokenizer import TextTokenizer

WANTS = ("image", "text", "both")
"""What may be generated."""
IMAGE_SUFFIXES = tuple(".png .jpg .jpeg .webp .gif .bmp .tif .tiff .avif .heic".split())
"""Suffixes of image files."""
KEYS = ("prompt", "image", "segments")
"""Columns of a prompt file; the first one that is not empty is used."""
Prompt = tuple[str, Interleaved, str]
"""Name, segments and want."""
Latent = Callable[[StoredImage], NDArray[np.float32]]
"""Turns an image into clean latents [C, H, W]."""


class ImageTextPrompts:
    """Prompts as batches.

    A batch holds `prompt`, a list of dicts: `name`; `number`, from 0; `segments`, a list of token
    ids (int64 [L], the first one led by the start token) and clean images (float32 [C, H, W]); and
    `want`, one of `WANTS`. A device without prompts left gets an empty list.

    Args:
        prompts: Name, segments and want of each.
        tokenizer: Turns text into ids.
        latent: Turns images into latents.
    """

    def __init__(self, prompts: list[Prompt], tokenizer: TextTokenizer, latent: Latent):
        self.prompts = prompts
        self.tokenizer = tokenizer
        self.latent = latent

    def __len__(self) -> int:
        """Number of prompts."""
        return len(self.prompts)

    def batch(self, ids: NDArray[np.int64], num_real: int) -> Batch:
        """The real prompts."""
        return {"prompt": [self._prompt(number) for number in ids[:num_real].tolist()]}

    def _prompt(self, number: int) -> dict[str, object]:
        name, segments, want = self.prompts[number]
        tensors = self._tensors(name, segments)
        return {"name": name, "number": number, "segments": tensors, "want": want}

    def _tensors(self, name: str, segments: Interleaved) -> list[Tensor]:
        start, tensors = [self.tokenizer.start], []
        if not segments or not isinstance(segments[0], str):
            tensors, start = [torch.tensor(start)], []
        for segment in segments:
            if isinstance(segment, str):
                [ids] = self.tokenizer.encode([segment])
                tensors.append(torch.tensor([*start, *ids]))
            else:
                tensors.append(torch.from_numpy(self._image(name, segment.image)))
            start = []
        return tensors

    def _image(self, name: str, image: StoredImage) -> NDArray[np.float32]:
        found = attempt(f"prompt {name}", self.latent, image)
        if isinstance(found, BadSample):
            raise ValueError(f"{found.origin}: {found.reason}.")
        return found


def image_reader(
    shape: tuple[int, int, int], vae: ImageVae | None, max_pixels: int = MAX_PIXELS
) -> Latent:
    """A function from images to latents: their pixels, or the mean of an autoencoder.

    Args:
        shape: Channels, height and width of latents.
        vae: The autoencoder; None where the network sees pixels.
        max_pixels: Pixels of the largest file that is opened.

    Raises:
        ValueError: The autoencoder has another number of channels.
    """
    if vae is None:
        return partial(latent, shape=shape, max_pixels=max_pixels)
    if vae.channels != shape[0]:
        raise ValueError(f"{vae.name} has {vae.channels} channels, the config says {shape[0]}.")
    return partial(_encode, shape=shape, vae=vae, max_pixels=max_pixels)


def _encode(
    image: StoredImage, shape: tuple[int, int, int], vae: ImageVae, max_pixels: int
) -> NDArray[np.float32]:
    sides = shape[1] * vae.reduction, shape[2] * vae.reduction
    pixels = latent(image, (3, *sides), max_pixels)
    return vae.scaling.sample(vae.moments(pixels[None])[0], rng=None)


def read_image_text_prompts(
    prompts: list[str] | str | None, max_bad_rate: float = 0.0
) -> list[Prompt]:
    """Prompts as given, or from a file.

    Args:
        prompts: Captions, each of which asks for an image; or a `.txt` file with one a line; or a
            file of rows, such as `.jsonl`, with `prompt` (a caption), `image` (a path, which asks
            for a caption) or `segments`, and, where wished, `want` and `name`. Paths are
            relative to the folder of the file. No prompts ask for one image without a caption.
        max_bad_rate: Share of unusable prompts of a file above which they are refused.

    Returns:
        Name, segments and want of each prompt, at least one.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file holds no prompts, or too many lines are unusable; names them.
    """
    if isinstance(prompts, str):
        file = prompt_file(not_an_image(prompts))
        found = RowTally().sift(_prompts(file), max_bad_rate, shown(file))
        return list(found)
    texts = [(str(i), _text(text, f"prompt {i}"), "image") for i, text in enumerate(prompts or [])]
    return texts or [("0", [], "image")]


def not_an_image(prompts: str) -> str:
    """The same text; raises for an image file, and explains how to ask for its caption.

    Raises:
        ValueError: It has the suffix of an image.
    """
    if Path(prompts).suffix.lower() in IMAGE_SUFFIXES:
        line = json.dumps({"image": Path(prompts).name})
        raise ValueError(
            f"{prompts} is an image. To ask for its caption, give prompts a .jsonl file beside "
            f"it with the line {line}."
        )
    return prompts


def _prompts(file: Path) -> Iterator[Prompt | BadSample]:
    """The prompts of a file, and a `BadSample` for each bad one."""
    if not file_format(file):
        for number, (_, said) in enumerate(prompt_lines(file)):
            yield said if isinstance(said, BadSample) else (str(number), [said], "image")
        return
    for number, (origin, record) in enumerate(read_rows([file])):
        if isinstance(record, BadSample):
            yield record
        else:
            yield attempt(origin, _prompt, record, number, file.parent)


def _prompt(record: Record, number: int, folder: Path) -> Prompt:
    """The prompt of a row.

    Raises:
        BadSampleError: It has none.
    """
    filled = [key for key in KEYS if record.get(key) not in (None, "", [])]
    kind = next(iter(filled or [key for key in KEYS if key in record]), None)
    if kind is None:
        raise BadSampleError(f"no key 'prompt', 'image' or 'segments' among {', '.join(record)}")
    want = record.get("want") or ("text" if kind == "image" else "image")
    if want not in WANTS:
        raise BadSampleError(f"want must be one of {', '.join(WANTS)}, got {want!r}")
    name = str(number if record.get("name") is None else record["name"])
    if kind == "prompt":
        return name, _text(text(record[kind], kind), "prompt"), want
    segments = record[kind] if kind == "segments" else [{"image": record[kind]}]
    return name, read_segments(segments, folder), want


def _text(caption: str, origin: str) -> Interleaved:
    """A caption; empty where it is blank.

    Raises:
        ValueError: It is not valid text.
    """
    document = to_document(caption, origin)
    if isinstance(document, Blank):
        return []
    if isinstance(document, BadSample):
        raise ValueError(f"{origin}: {document.reason}.")
    return [document.text]
