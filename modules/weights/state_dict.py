"""The tensors of a checkpoint against those that a model needs."""

from collections.abc import Mapping
from typing import Any


def differences(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    """In which tensors two states differ: missing, unknown or of another shape; nothing if alike.

    Args:
        found: Tensors by name, of the checkpoint.
        wanted: The same of the model.
    """
    missing = [name for name in wanted if name not in found]
    unknown = [name for name in found if name not in wanted]
    other = [
        f"{name} {tuple(found[name].shape)}, here {tuple(value.shape)}"
        for name, value in wanted.items()
        if name in found and found[name].shape != value.shape
    ]
    kinds = [("missing", missing), ("unknown", unknown), ("other shape", other)]
    return "; ".join(
        f"{len(names)} {what}: {', '.join(names[:2])}{', ...' if names[2:] else ''}"
        for what, names in kinds
        if names
    )
