"""A short name for a set of weights: checkpoints identify by it what they were trained with."""

import hashlib
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from os import cpu_count

import torch
from torch import Tensor

FORM = "all:"
"""Begins the names that read every element; earlier ones, without it, read 64 of each tensor."""

NOTHING = "none"
"""The name of no weights at all."""

CHUNK = 2**22
"""Elements that are copied from the device at a time."""

MOST_THREADS = 8
"""Tensors hashed side by side; each holds a chunk in memory."""


@torch.no_grad()
def fingerprint(tensors: Iterable[tuple[str, Tensor]]) -> str:
    """Hash names, shapes and every element at its position.

    Elements are read in bfloat16, so the same source loaded in another precision keeps its name.
    A billion weights take about two seconds on one core.

    Args:
        tensors: Name and weight, in any order; empty shards are passed over.

    Returns:
        `FORM` and 16 hexadecimal digits, or `NOTHING`.
    """
    pairs = sorted((pair for pair in tensors if pair[1].numel()), key=lambda pair: pair[0])
    if not pairs:
        return NOTHING
    digest = hashlib.sha256()
    with ThreadPoolExecutor(min(MOST_THREADS, cpu_count() or 1)) as pool:
        elements = pool.map(of_elements, [tensor for _, tensor in pairs])
        for (name, tensor), one in zip(pairs, elements, strict=True):
            digest.update(f"{name}{tuple(tensor.shape)}".encode() + one)
    return FORM + digest.hexdigest()[:16]


@torch.no_grad()
def of_elements(tensor: Tensor) -> bytes:
    """SHA-256 of what this rank holds of a tensor, element by element, rounded to bfloat16."""
    to_local = getattr(tensor, "to_local", None)
    local = tensor if to_local is None else to_local()
    digest = hashlib.sha256()
    for chunk in local.detach().reshape(-1).split(CHUNK):
        digest.update(chunk.to(torch.bfloat16).view(torch.int16).cpu().numpy().data)
    return digest.digest()


def same_weights(first: str, second: str) -> bool:
    """Whether two names may be of the same weights; one of an earlier form cannot be compared."""
    ours = all(name.startswith(FORM) or name == NOTHING for name in (first, second))
    return first == second or not ours


def refuse_others(first: str, second: str, checkpoint: str) -> None:
    """Refuse a checkpoint that was trained with other frozen weights.

    Args:
        first: Name of those that it was trained with.
        second: Name of those that the config has.
        checkpoint: Its path.

    Raises:
        ValueError: They are not the same.
    """
    if same_weights(first, second):
        return
    theirs, ours = (
        "no frozen weights" if name == NOTHING else f"frozen weights {name}"
        for name in (first, second)
    )
    raise ValueError(
        f"{checkpoint} was trained with {theirs}, but the config has {ours}: "
        "it is the checkpoint of another config, or their source has changed"
    )
