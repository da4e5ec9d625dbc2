"""Records of predictions: whatever `predict_step` returns, one a sample, and how they are shown."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from engine.disk.strict_json import parts_of, plain

KEY = "prediction"
"""Key of a prediction that has none of its own."""
GIVEN = "tensors, arrays, texts and numbers, or lists and dictionaries of them"
"""What a prediction may be."""
FEW = 8
"""Numbers of a list or a dictionary that are shown on the terminal."""
LONG = 1000
"""Characters of a text that are."""


def records_of(outputs: Any) -> list[dict[str, Any]]:
    """One dictionary a sample, whatever a batch's predictions are.

    A list holds one prediction a sample: dictionaries stay as they are, anything else is under
    `prediction`. A tensor or array is cut along its first dimension, and so is each part of a
    dictionary, dataclass or tuple whose parts have the same length. None is nothing.
    """
    if outputs is None:
        return []
    fields = fields_of(outputs)
    if fields is not None:
        return split(fields)
    if isinstance(outputs, torch.Tensor | np.ndarray):
        return [{KEY: one} for one in (outputs if outputs.ndim else [outputs])]
    if isinstance(outputs, list | tuple):
        return [record_of(one) for one in outputs]
    return [record_of(outputs)]


def record_of(one: Any) -> dict[str, Any]:
    """The prediction of one sample as a dictionary."""
    fields = fields_of(one)
    return {KEY: one} if fields is None else fields


def fields_of(value: Any) -> dict[str, Any] | None:
    """Parts by name of a mapping, dataclass, named tuple or tuple of tensors; None of others."""
    if type(value) is tuple and value and all(isinstance(p, torch.Tensor) for p in value):
        return {f"{KEY}_{number}": part for number, part in enumerate(value)}
    return parts_of(value)


def split(fields: dict[str, Any]) -> list[dict[str, Any]]:
    """The parts of a batch, cut into samples; one record where they cannot be cut alike."""
    batched = (torch.Tensor, np.ndarray, list)
    lengths = {
        len(part) if isinstance(part, batched) and np.ndim(part) else -1 for part in fields.values()
    }
    if len(lengths) != 1 or -1 in lengths:
        return [fields]
    return [{key: part[i] for key, part in fields.items()} for i in range(lengths.pop())]


def is_image(value: Any) -> bool:
    """Whether a value is an image: uint8, [H, W, 3] or grey [H, W]."""
    if isinstance(value, np.ndarray):
        value = torch.from_numpy(value) if value.dtype == np.uint8 else None
    if not isinstance(value, torch.Tensor) or value.dtype != torch.uint8 or not value.numel():
        return False
    return value.ndim == 2 or (value.ndim == 3 and value.shape[-1] == 3)


def pixels(value: Any) -> np.ndarray:
    """An image as an array."""
    return value.cpu().numpy() if isinstance(value, torch.Tensor) else value


def written(value: Any, path: Path) -> Any:
    """The value as JSON holds it; images and bytes become files, and their paths take their place.

    Args:
        value: Part of a record.
        path: Of the file, without its ending; a list adds the number of the place.

    Raises:
        TypeError: Something that no file could hold; names it.
    """
    if is_image(value):
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels(value)).save(path.with_suffix(".png"))
        return str(path.with_suffix(".png"))
    if isinstance(value, bytes):
        path.parent.mkdir(parents=True, exist_ok=True)
        stem, _, ending = path.name.rpartition("_")
        file = path.with_name(f"{stem}.{ending}")
        file.write_bytes(value)
        return str(file)
    return inside(value, path)


def inside(value: Any, path: Path) -> Any:
    """The same for what holds further values; all else is left to `engine.disk.strict_json`."""
    if isinstance(value, list | tuple | set | frozenset) and not hasattr(value, "_asdict"):
        return [written(one, path.with_name(f"{path.name}_{i}")) for i, one in enumerate(value)]
    fields = parts_of(value)
    if fields is not None:
        return {k: written(v, path.with_name(f"{path.name}_{k}")) for k, v in fields.items()}
    try:
        return plain(value)
    except TypeError as error:
        raise TypeError(f"predict_step: {error}; give {GIVEN}") from None


def images_in(value: Any) -> list[np.ndarray]:
    """The images of a record's part, in order."""
    values = value if isinstance(value, list | tuple) else [value]
    return [pixels(one) for one in values if is_image(one)]


def line(record: dict[str, Any]) -> str:
    """A record for people: a text and its continuation in one, other parts by their keys.

    Parts that are empty, and tables, which are dictionaries of other things than a few numbers or
    lists of dictionaries, are in the file alone; so is the rest of a long text.
    """
    if all(isinstance(value, str) for value in record.values()) and "id" not in record:
        return "".join(record.values())
    shown = {key: value for key, value in record.items() if value != "" and not is_table(value)}
    return " · ".join(f"{key} {brief(value)}" for key, value in shown.items())


def brief(value: Any) -> str:
    """A value for people: numbers to four digits, long lists and texts by their beginning."""
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, dict):
        return ", ".join(f"{key} {brief(number)}" for key, number in value.items())
    if isinstance(value, str) and len(value) > LONG:
        return f"{value[:LONG]} ... ({len(value):,} characters)"
    if not isinstance(value, list):
        return str(value)
    numbers = [one for one in value if isinstance(one, int | float | list)]
    few = value[:FEW] if len(numbers) > FEW else value
    rest = f" ... ({len(value)})" if len(few) < len(value) else ""
    return " ".join(map(brief, few)) + rest


def is_table(value: Any) -> bool:
    """Whether a value is a list of dictionaries, or one of other things than a few numbers."""
    if isinstance(value, dict):
        is_small = 0 < len(value) <= FEW
        return not (is_small and all(isinstance(one, int | float) for one in value.values()))
    return isinstance(value, list) and bool(value) and isinstance(value[0], dict)
