"""Which of the T steps a sampler visits."""

from typing import Literal

import numpy as np

Spacing = Literal["trailing", "leading", "uniform", "quadratic"]
"""Equal strides counted from the noisy end (Lin et al., 2023, tab. 2), or from the clean end;
equal up to rounding with both ends visited (Nichol & Dhariwal, 2021, sec. 4); or dense towards the
clean end (Song et al., 2021, app. D.2)."""


def spaced(num_steps: int, spacing: Spacing, first: int, last: int = 0) -> list[int]:
    """The steps visited, falling, and after them the step where sampling ends.

    Args:
        num_steps: Number of steps to visit.
        spacing: How they spread.
        first: The noisiest step; "leading" may stay below it, the others start there.
        last: The step where sampling ends.

    Raises:
        ValueError: There are not that many steps.
    """
    span = first - last
    if not 1 <= num_steps <= span:
        raise ValueError(
            f"num_steps must lie in [1, {span}], the steps from {last} to {first}, got {num_steps}"
        )
    share_N = np.arange(num_steps) / num_steps
    rank_N = np.linspace(1, 0, num_steps)
    offset_N = {
        "trailing": span * (1 - share_N),
        "leading": 1.0 + (span // num_steps) * np.arange(num_steps)[::-1],
        "uniform": 1 + np.round(np.linspace(span - 1, 0, num_steps)),
        "quadratic": 1 + (span - 1) * rank_N**2,
    }[spacing]
    return [*(last + step for step in distinct(np.round(offset_N).astype(int).tolist())), last]


def distinct(falling: list[int]) -> list[int]:
    """Steps of which no two are equal: from the lowest up, one that is taken moves by one."""
    steps: list[int] = []
    for step in reversed(falling):
        steps.append(max(step, steps[-1] + 1) if steps else step)
    return steps[::-1]
