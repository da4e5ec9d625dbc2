"""A short name for a set of weights, so that a checkpoint can tell what it was trained beside."""

import hashlib
from collections.abc import Iterable

import torch
from torch import Tensor

NUM_PROBES = 64
"""Elements read from each tensor: enough to tell two models apart, cheap at any size."""


@torch.no_grad()
def fingerprint(tensors: Iterable[tuple[str, Tensor]]) -> str:
    """Hash names, shapes and evenly spaced elements.

    Elements are read in bfloat16, so the same source loaded in another precision keeps its name.

    Args:
        tensors: Name and weight, in any order; empty shards are passed over.

    Returns:
        16 hexadecimal digits.
    """
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors, key=lambda pair: pair[0]):
        if tensor.numel() == 0:
            continue
        flat = tensor.detach().reshape(-1)
        probe = torch.linspace(0, flat.numel() - 1, min(NUM_PROBES, flat.numel())).long()
        value = flat[probe.to(flat.device)].to(torch.bfloat16).view(torch.int16)
        digest.update(f"{name}{tuple(tensor.shape)}".encode())
        digest.update(value.cpu().numpy().tobytes())
    return digest.hexdigest()[:16]
