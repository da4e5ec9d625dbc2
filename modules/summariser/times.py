"""Steps of the noise of summaries in training. N = noised summaries."""

from collections.abc import Sequence

import torch
from torch import Tensor


def draw_steps(
    num: int, num_steps: int, power: float, device: torch.device | str = "cpu"
) -> Tensor:
    """One step t in 1, ..., T for each summary, int64, spread evenly over the batch.

    Args:
        num: N.
        num_steps: T.
        power: Of the uniform number; 1 is the paper's uniform t, below 1 there is more noise.
        device: Where the steps are needed.
    """
    offset = torch.rand(num, device=device)
    stratum = torch.randperm(num, device=device)
    return steps_of((stratum + offset) / max(1, num), num_steps, power)


def own_steps(generators: Sequence[torch.Generator], num_steps: int, power: float) -> Tensor:
    """One step for each summary, each from its own generator, on the CPU."""
    u = [torch.rand(1, generator=one) for one in generators]
    return steps_of(torch.cat(u) if u else torch.zeros(0), num_steps, power)


def steps_of(u_N: Tensor, num_steps: int, power: float) -> Tensor:
    """Steps of uniform numbers."""
    return ((u_N**power * num_steps).long() + 1).clamp(max=num_steps)
