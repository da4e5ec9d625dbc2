"""Gaussian noise from given generators, the same numbers on every device and in every batch."""

from collections.abc import Sequence

import torch
from torch import Tensor

Generators = torch.Generator | Sequence[torch.Generator] | None
"""One for the whole batch; one a sample, so that a sample's noise ignores its batch; or torch's."""


def gaussian(
    shape: Sequence[int],
    generators: Generators = None,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """Standard normal samples, drawn where their generators live.

    Args:
        shape: Of the batch, samples first.
        generators: Where the numbers come from.
        device: Where they go to.
        dtype: Their floating type.

    Raises:
        ValueError: There is not one generator for each sample.
    """
    if isinstance(generators, Sequence):
        if len(generators) != shape[0]:
            raise ValueError(f"{len(generators)} generators for {shape[0]} samples")
        parts = [_draw(shape[1:], generator, dtype) for generator in generators]
        return (
            torch.stack(parts).to(device)
            if parts
            else torch.empty(*shape, device=device, dtype=dtype)
        )
    if generators is None:
        return torch.randn(*shape, device=device, dtype=dtype)
    return _draw(shape, generators, dtype).to(device)


def _draw(shape: Sequence[int], generator: torch.Generator, dtype: torch.dtype) -> Tensor:
    return torch.randn(tuple(shape), generator=generator, device=generator.device, dtype=dtype)
