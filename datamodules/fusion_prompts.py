"""What `predict` is asked for: an image of a caption, a caption of an image, or more of a document.

Shape legend: L = tokens; C, H, W = channels, height and width of latents.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from datamodules.documents import Blank, Reject, judge, parse
from datamodules.faults import attempt
from datamodules.fusion_source import Interleaved
from datamodules.interleaved import read_segments
from datamodules.loader import Batch
from datamodules.pictures import MAX_PIXELS, Picture, latent
from datamodules.quarantine import UnusableError
from datamodules.roots import missing
from datamodules.tokenizer import TextTokenizer
from datamodules.vae import ImageVae

WANTS = ("image", "text", "both")
"""What may be generated."""
Latent = Callable[[Picture], NDArray[np.float32]]
"""Turns an image into clean latents [C, H, W]."""


class FusionPrompts:
    """Prompts as batches.

    A batch holds `prompt`, a list of dicts: `name`; `number`, from 0; `segments`, a list of token
    ids (int64 [L], the first one led by the start token) and clean images (float32 [C, H, W]); and
    `want`, one of `WANTS`. A device that has nothing left to do gets an empty list.

    Args:
        prompts: Name, segments and want of each.
        tokenizer: What turns text into ids.
        latent: What turns images into latents.
    """

    def __init__(
        self, prompts: list[tuple[str, Interleaved, str]], tokenizer: TextTokenizer, latent: Latent
    ):
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

    def _image(self, name: str, image: Picture) -> NDArray[np.float32]:
        found = attempt(f"prompt {name}", self.latent, image)
        if isinstance(found, Reject):
            raise ValueError(f"{found.origin}: {found.reason}.")
        return found


def image_reader(
    shape: tuple[int, int, int], vae: ImageVae | None, max_pixels: int = MAX_PIXELS
) -> Latent:
    """What turns images into latents: their pixels, or the mean that an autoencoder gives.

    Args:
        shape: Channels, height and width of latents.
        vae: The autoencoder; None where the network sees pixels.
        max_pixels: Pixels of the largest file that is opened.

    Raises:
        ValueError: The autoencoder gives another number of channels.
    """
    if vae is None:
        return partial(latent, shape=shape, max_pixels=max_pixels)
    if vae.channels != shape[0]:
        raise ValueError(f"{vae.name} has {vae.channels} channels, the config says {shape[0]}.")
    return partial(_encode, shape=shape, vae=vae, max_pixels=max_pixels)


def _encode(
    picture: Picture, shape: tuple[int, int, int], vae: ImageVae, max_pixels: int
) -> NDArray[np.float32]:
    sides = shape[1] * vae.reduction, shape[2] * vae.reduction
    pixels = latent(picture, (3, *sides), max_pixels)
    return vae.scaling.sample(vae.moments(pixels[None])[0], rng=None)


def read_fusion_prompts(prompts: list[str] | str | None) -> list[tuple[str, Interleaved, str]]:
    """Prompts as given, or from a file.

    Args:
        prompts: Captions, each of which asks for an image; or a `.txt` file with one a line; or a
            `.jsonl` file of objects with a key `prompt` (a caption), `image` (a path, which asks
            for a caption) or `segments`, and, where wished, `want` and `name`. Paths count from
            the folder of the file. Nothing stands for an image of nothing.

    Returns:
        Name, segments and want of each prompt, at least one.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: A line says none of this; names file and line.
    """
    if prompts is None:
        return [("0", [], "image")]
    if isinstance(prompts, list):
        return [(str(i), _text(text, f"prompt {i}"), "image") for i, text in enumerate(prompts)]
    path = Path(prompts)
    if not path.is_file():
        raise missing(prompts)
    if path.suffix not in (".jsonl", ".txt"):
        raise ValueError(f"{path} must end in .jsonl or .txt.")
    lines = enumerate(path.read_bytes().splitlines(), start=1)
    found = [(number, line) for number, line in lines if line.strip()]
    if path.suffix == ".txt":
        texts = [_text(line, f"{path}:{number}") for number, line in found]
        return [(str(i), text, "image") for i, text in enumerate(texts)]
    read = [
        _prompt(line, i, f"{path}:{number}", path.parent) for i, (number, line) in enumerate(found)
    ]
    return read or read_fusion_prompts(None)


def _prompt(line: bytes, number: int, place: str, folder: Path) -> tuple[str, Interleaved, str]:
    """The prompt of one line of JSON."""
    record = parse(line, place)
    if isinstance(record, Reject):
        raise ValueError(f"{place}: {record.reason}.")
    if not isinstance(record, dict):
        raise ValueError(f"{place}: not a JSON object.")
    want = record.get("want", "text" if "image" in record else "image")
    if want not in WANTS:
        raise ValueError(f"{place}: want must be one of {', '.join(WANTS)}, got {want!r}.")
    try:
        return str(record.get("name", number)), _segments(record, folder, place), want
    except UnusableError as error:
        raise ValueError(f"{place}: {error}.") from error


def _text(text: str | bytes, place: str) -> Interleaved:
    """A caption; nothing where it is blank."""
    found = judge(text, place)
    if isinstance(found, Blank):
        return []
    if isinstance(found, Reject):
        raise ValueError(f"{place}: {found.reason}.")
    return [found.text]


def _segments(record: dict[str, object], folder: Path, place: str) -> Interleaved:
    """What a record gives of a document."""
    if "prompt" in record:
        return _text(str(record["prompt"] or ""), place)
    if "image" in record:
        return read_segments([{"image": record["image"]}], folder)
    if "segments" in record:
        return read_segments(record["segments"], folder)
    raise UnusableError(f"no key 'prompt', 'image' or 'segments' among {', '.join(record)}")
