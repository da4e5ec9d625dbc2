"""Refusal of scores that are not finite. Shape legend: N = texts."""

from collections.abc import Sequence

import torch
from torch import Tensor

NUM_SHOWN = 20
"""Maximum number of texts that a message names."""


def check_finite(score: Tensor, names: Sequence[str] | None = None) -> None:
    """Refuse scores that are NaN or infinite: their ranks and rates are meaningless.

    Args:
        score: Scores of a classifier, [N] or [N, C].
        names: Of the texts, for the message; their indices if None.

    Raises:
        ValueError: Says how many are not finite, and names the first texts.
    """
    good_N = torch.isfinite(score.reshape(len(score), -1)).all(1) if len(score) else score
    refuse([i if names is None else names[i] for i in unsound(good_N)], len(score))


def unsound(good_N: Tensor) -> list[int]:
    """Positions where it is not True."""
    return (~good_N.bool()).nonzero()[:, 0].tolist() if len(good_N) else []


def refuse(bad: Sequence[object], num: int) -> None:
    """Raise a ValueError that names the texts without a finite score, if there are any."""
    if not bad:
        return
    more = f" and {len(bad) - NUM_SHOWN} more" if len(bad) > NUM_SHOWN else ""
    raise ValueError(
        f"{len(bad)} of {num} texts have no finite score, so nothing is measured: "
        f"{', '.join(map(str, bad[:NUM_SHOWN]))}{more}. The network has diverged or overflows, "
        "or these texts hold nothing that the method can score."
    )
