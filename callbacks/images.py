"""Grids of images while training: the same ones after every validation."""

import json
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import lightning as L
import numpy as np
from PIL import Image
from torch import Tensor
from typing_extensions import override

from callbacks.validation_sampling import ValidationSampling


@runtime_checkable
class CaptionSampler(Protocol):
    """A system that draws an image for each caption."""

    def draw(self, captions: list[str]) -> Tensor:
        """Images, uint8 [N, H, W, 3]."""
        ...


class CaptionImages(ValidationSampling):
    """Draws fixed captions after every validation, with the weights that were validated.

    An image that cannot be drawn never ends a training.
    Writes `samples/step_<step>.png`, a grid in reading order, and `samples/captions.txt`.

    Args:
        captions: What to draw; or a file as `predict` takes it, whose plain captions are drawn:
            `.txt` with one a line, or `.jsonl` with a key `prompt`. None draws one without text.
        columns: Images in a row of the grid.
        scale: Pixels of the grid for each pixel of an image.

    Raises:
        ValueError: There is no caption, or `columns` or `scale` is below 1.
    """

    what = "image"

    def __init__(self, captions: list[str] | str | None, columns: int = 8, scale: int = 3):
        super().__init__()
        if columns < 1 or scale < 1 or captions == []:
            raise ValueError(
                "a grid needs at least one caption, one column and a scale of 1, got "
                f"{len(captions or [''])} captions, columns {columns}, scale {scale}"
            )
        self.source = captions
        self.captions = captions if isinstance(captions, list) else [""]
        self.columns = columns
        self.scale = scale

    @override
    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        if not isinstance(pl_module, CaptionSampler):
            raise TypeError(f"{type(pl_module).__name__} has no draw(captions)")
        if isinstance(self.source, str) and stage != "predict":
            self.captions = read_captions(Path(self.source))

    @override
    def draw(self, pl_module: L.LightningModule) -> Tensor:
        assert isinstance(pl_module, CaptionSampler)
        return pl_module.draw(self.captions)

    @override
    def write(self, drawn: Any, folder: Path, step: int) -> str:
        path = folder / f"step_{step:07d}.png"
        grid(drawn.numpy(), self.columns, self.scale).save(path)
        if any(self.captions):
            captions = "\n".join(self.captions) + "\n"
            (folder / "captions.txt").write_text(captions, errors="backslashreplace")
        return str(path)


class SampleImages(CaptionImages):
    """Draws images of no caption, for systems without conditioning; else as `CaptionImages`.

    The first `num` indices and the system's own seed decide what is drawn, as with that many empty
    captions, so that grids of different steps differ by the weights alone.

    Args:
        num: How many.
        columns: Images in a row of the grid.
        scale: Pixels of the grid for each pixel of an image.

    Raises:
        ValueError: `num`, `columns` or `scale` is below 1.
    """

    def __init__(self, num: int = 16, columns: int = 8, scale: int = 3):
        if num < 1:
            raise ValueError(f"num must be at least 1, got {num}.")
        super().__init__([""] * num, columns, scale)


def read_captions(path: Path) -> list[str]:
    """The captions in a file, at least one.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It holds no caption.
    """
    lines = [line for line in path.read_text().splitlines() if line.strip()]
    if path.suffix == ".jsonl":
        records = [json.loads(line) for line in lines]
        lines = [str(record["prompt"]) for record in records if "prompt" in record]
    if not lines:
        raise ValueError(f"{path} holds no caption to draw")
    return lines


def grid(image_NHWC: np.ndarray, columns: int, scale: int = 1, gap: int = 2) -> Image.Image:
    """Images in rows, on white.

    Args:
        image_NHWC: uint8, all of one size.
        columns: Images in a row.
        scale: Pixels for each pixel.
        gap: White pixels between images.
    """
    num, height, width, channels = image_NHWC.shape
    rows = -(-num // columns)
    shape = rows * (height + gap) - gap, min(num, columns) * (width + gap) - gap, channels
    sheet = np.full(shape, 255, np.uint8)
    for i, image in enumerate(image_NHWC):
        top, left = i // columns * (height + gap), i % columns * (width + gap)
        sheet[top : top + height, left : left + width] = image
    return Image.fromarray(sheet.repeat(scale, 0).repeat(scale, 1))
