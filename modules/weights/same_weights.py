"""Whether two sets of weights are the same, number by number."""

from collections.abc import Mapping

import torch
from torch import Tensor


@torch.no_grad()
def refuse_other_weights(wanted: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> None:
    """Raise unless every weight that was written is read again as it was.

    Args:
        wanted: Weights in memory, by name.
        found: What was read.

    Raises:
        ValueError: Names the first weight that is missing or another.
    """
    for name, weight in wanted.items():
        other = found.get(name)
        if other is None:
            raise ValueError(f"the folder lacks {name}")
        if weight.shape != other.shape:
            shapes = f"{tuple(other.shape)}, it is {tuple(weight.shape)}"
            raise ValueError(f"the folder holds {name} as {shapes}")
        num = int((weight.cpu() != other.to("cpu", weight.dtype)).sum())
        if num:
            positions = f"{num} of {weight.numel()} positions"
            raise ValueError(f"the folder holds other values of {name} at {positions}")
