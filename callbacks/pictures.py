"""Pictures while training: a fixed set of captions, drawn after validations, as one grid."""

import json
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import lightning as L
import numpy as np
from PIL import Image
from torch import Tensor
from typing_extensions import override

from callbacks.drawing import Drawing


@runtime_checkable
class Artist(Protocol):
    """A system that draws captions."""

    def draw(self, captions: list[str]) -> Tensor:
        """Pictures, uint8 [N, H, W, 3]."""
        ...


class CaptionPictures(Drawing):
    """Draws fixed captions after every validation, with the weights that were validated.

    A picture that cannot be drawn never ends a training.
    Writes `samples/step_<step>.png`, a grid in reading order, and the captions beside it.

    Args:
        captions: What to draw; or a file as `predict` takes it, whose plain captions are drawn:
            `.txt` with one a line, or `.jsonl` with a key `prompt`. None draws one without text.
        columns: Pictures in a row of the grid.
        scale: Pixels of the grid for each pixel of a picture.
    """

    what = "picture"

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
        if not isinstance(pl_module, Artist):
            raise TypeError(f"{type(pl_module).__name__} has no draw(captions)")
        if isinstance(self.source, str) and stage != "predict":
            self.captions = read_captions(Path(self.source))

    @override
    def draw(self, pl_module: L.LightningModule) -> Tensor:
        assert isinstance(pl_module, Artist)
        return pl_module.draw(self.captions)

    @override
    def write(self, drawn: Any, folder: Path, step: int) -> str:
        path = folder / f"step_{step:07d}.png"
        grid(drawn.numpy(), self.columns, self.scale).save(path)
        captions = "\n".join(self.captions) + "\n"
        (folder / "captions.txt").write_text(captions, errors="backslashreplace")
        return str(path)


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


def grid(picture_NHWC: np.ndarray, columns: int, scale: int = 1, gap: int = 2) -> Image.Image:
    """Pictures in rows, on white.

    Args:
        picture_NHWC: uint8, all of one size.
        columns: Pictures in a row.
        scale: Pixels for each pixel.
        gap: White pixels between pictures.
    """
    num, height, width, channels = picture_NHWC.shape
    rows = -(-num // columns)
    shape = rows * (height + gap) - gap, min(num, columns) * (width + gap) - gap, channels
    sheet = np.full(shape, 255, np.uint8)
    for i, picture in enumerate(picture_NHWC):
        top, left = i // columns * (height + gap), i % columns * (width + gap)
        sheet[top : top + height, left : left + width] = picture
    return Image.fromarray(sheet.repeat(scale, 0).repeat(scale, 1))
