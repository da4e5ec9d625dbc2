"""What values become in JSON, for all that is written: strict JSON, which every reader takes.

- NaN and the infinities become null: JSON has no such numbers. Finite numbers stay to the last bit.
- A complex number becomes its two parts, [real, imaginary], as `torch.view_as_real` lays them out.
- Tensors and arrays become nested lists, sparse ones too, of whatever width their numbers are.
- Times become ISO 8601; paths, identifiers, dtypes and devices their text; members of an Enum their
  value; a Decimal a number.
- Mappings, dataclasses and named tuples become objects, their keys text; sets become lists.
- Halves of surrogate pairs, which UTF-8 cannot hold, stay as their JSON escapes.
"""

import json
from collections import deque
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import date, time, timedelta
from decimal import Decimal
from enum import Enum
from math import isfinite
from numbers import Rational
from pathlib import PurePath
from typing import Any
from uuid import UUID

import numpy as np
import torch
from torch import Tensor

TEXTS = (PurePath, UUID, torch.dtype, torch.device, timedelta)
"""Kinds of which JSON holds the text."""
LISTS = (list, tuple, set, frozenset, range, deque)


def dumps(value: Any, indent: int | None = None) -> str:
    """A value as strict JSON, encodable in UTF-8.

    Args:
        value: Anything of the kinds above.
        indent: Spaces per level; all in one line where None.

    Raises:
        TypeError: Something that JSON cannot hold; names its kind.
    """
    text = json.dumps(plain(value), ensure_ascii=False, allow_nan=False, indent=indent)
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def plain(value: Any) -> Any:
    """A value in JSON's own kinds; raises as `dumps` does."""
    if isinstance(value, Enum):
        return plain(value.value)
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, Tensor):
        return of_tensor(value.detach())
    if isinstance(value, np.ndarray | np.generic):
        return of_array(value)
    if isinstance(value, float | Decimal | Rational | complex):
        return of_number(value)
    if isinstance(value, date | time):  # a datetime is a date
        return value.isoformat()
    if isinstance(value, TEXTS):
        return str(value)
    return of_container(value)


def of_container(value: Any) -> Any:
    """The same of what holds further values."""
    parts = parts_of(value)
    if parts is not None:
        return {name: plain(part) for name, part in parts.items()}
    if isinstance(value, LISTS):
        return [plain(item) for item in value]
    raise TypeError(f"a {type(value).__name__} cannot be written as JSON")


def parts_of(value: Any) -> dict[str, Any] | None:
    """Parts by name of a mapping, dataclass or named tuple; None of others."""
    if isinstance(value, Mapping):
        return {str(key): part for key, part in value.items()}
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in fields(value)}
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return dict(value._asdict())
    return None


def of_number(value: Any) -> Any:
    """A number of Python's: finite, null, or two parts."""
    if isinstance(value, complex):
        return [of_number(value.real), of_number(value.imag)]
    number = float(value)
    return number if isfinite(number) else None


def of_tensor(value: Tensor) -> Any:
    """Nested lists of a tensor of any kind."""
    if value.is_nested:
        return [of_tensor(part) for part in value.unbind()]
    value = value if value.layout == torch.strided else value.to_dense()
    if value.is_complex():
        value = torch.view_as_real(value.resolve_conj())
    if not value.is_floating_point():
        return value.tolist()
    value = value.float() if value.dtype.itemsize < 4 else value
    return finite(value.tolist(), bool(value.isfinite().all()))


def of_array(value: Any) -> Any:
    """Nested lists of an array, or the value of a NumPy scalar."""
    value = np.asarray(value)
    if value.dtype.kind == "c":
        value = np.stack([value.real, value.imag], axis=-1)
    if value.dtype.kind == "f":
        value = value.astype(np.float64) if value.dtype.itemsize > 8 else value
        return finite(value.tolist(), bool(np.isfinite(value).all()))
    if value.dtype.kind == "M":
        return np.datetime_as_string(value).tolist()
    if value.dtype.kind == "m":
        return value.astype(str).tolist()
    return value.tolist() if value.dtype.kind in "biu" else plain(value.tolist())


def finite(values: Any, are_finite: bool) -> Any:
    """Nested lists of floats, walked through only where one of them is not finite."""
    return values if are_finite else plain(values)
