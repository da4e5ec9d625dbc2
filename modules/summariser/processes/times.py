"""Steps of the noise of summaries in training. N = noised summaries."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from modules.diffusion.schedule import widest


@dataclass(frozen=True)
class Noising:
    """How the summaries of a training batch are noised.

    Attributes:
        power: Of the uniform number that gives the step; 1 is the paper's uniform t, below 1 there
            is more noise: our choice for small networks.
        draws: Noised copies of each summary a step; the article is read once for all of them.
    """

    power: float = 1.0
    draws: int = 1

    def __post_init__(self) -> None:
        """Refuse what draws nothing."""
        if self.power <= 0:
            raise ValueError(f"power must be above 0, got {self.power}")
        if self.draws < 1:
            raise ValueError(f"draws must be at least 1, got {self.draws}")

    def chance(self, step_N: Tensor, num_steps: int) -> Tensor:
        """Probability of each step, [N], in double precision."""
        last_N = step_N.to(widest(step_N.device)) / num_steps
        first_N = (last_N - 1 / num_steps).clamp(min=0)
        return last_N ** (1 / self.power) - first_N ** (1 / self.power)


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
    offset = torch.rand(num, device=device, dtype=torch.float32)  # 5000 steps need its digits
    stratum = torch.randperm(num, device=device)
    return steps_of((stratum + offset) / max(1, num), num_steps, power)


def own_steps(generators: Sequence[torch.Generator], num_steps: int, power: float) -> Tensor:
    """One step for each summary, each from its own generator, on the CPU."""
    u = [torch.rand(1, generator=one, dtype=torch.float32) for one in generators]
    return steps_of(torch.cat(u) if u else torch.zeros(0), num_steps, power)


def steps_of(u_N: Tensor, num_steps: int, power: float) -> Tensor:
    """Steps of uniform numbers."""
    return ((u_N**power * num_steps).long() + 1).clamp(max=num_steps)
