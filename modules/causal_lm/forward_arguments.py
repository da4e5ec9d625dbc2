"""What the forward pass of a transformers model accepts; architectures differ in it."""

from collections.abc import Callable
from functools import cache
from inspect import signature
from typing import Any


def accepted(model: Any, **wanted: Any) -> dict[str, Any]:
    """Those of the arguments that a model's forward pass accepts."""
    known = parameters(type(model).forward)
    return {name: value for name, value in wanted.items() if name in known}


@cache
def parameters(forward: Callable[..., object]) -> frozenset[str]:
    """Names of the arguments of a forward pass."""
    return frozenset(signature(forward).parameters)
