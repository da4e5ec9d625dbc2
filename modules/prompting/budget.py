"""How many demonstrations fit before the question (Han, 2023)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Budget:
    """Limits of demonstrations, in tokens of the model that reads them.

    Attributes:
        total: Maximum of all demonstrations together.
        longest: Maximum of a single one; longer ones are skipped.
        fill: Whether to continue with shorter ones after the first that does not fit. The paper
            stops there.
        prompt: Exact maximum of the whole prompt with its question: the least similar
            demonstrations are dropped. A question that alone is longer is left unchanged. No limit
            if None.
    """

    total: int = 3000
    longest: int = 500
    fill: bool = False
    prompt: int | None = None

    def __post_init__(self) -> None:
        """Refuse negative limits."""
        for name in ("total", "longest", "prompt"):
            value = getattr(self, name)
            if value is not None and value < 0:
                raise ValueError(f"{name} must not be negative, got {value}.")


@dataclass(frozen=True)
class Packing:
    """Which candidates are kept, and why the others are not.

    Attributes:
        kept: Their indices among the candidates, the best first.
        num_tokens: Their tokens in total.
        num_too_long: Candidates skipped because each alone exceeds `longest`.
        num_over: Candidates that no longer fitted.
        num_unseen: Candidates after the one that ended packing.
    """

    kept: list[int]
    num_tokens: int
    num_too_long: int
    num_over: int
    num_unseen: int

    def without_last(self, lengths: Sequence[int]) -> "Packing":
        """The same packing without the last candidate kept.

        Args:
            lengths: Tokens of each candidate.
        """
        *kept, last = self.kept
        left = self.num_tokens - lengths[last]
        return replace(self, kept=kept, num_tokens=left, num_over=self.num_over + 1)


def pack(lengths: Sequence[int], budget: Budget) -> Packing:
    """Keep the candidates that fit, the best first.

    Args:
        lengths: Tokens of each candidate, the best first.
        budget: The limits.
    """
    kept: list[int] = []
    num_tokens = num_too_long = num_over = num_unseen = 0
    is_full = False
    for index, length in enumerate(lengths):
        if is_full:
            num_unseen += 1
        elif length > budget.longest:
            num_too_long += 1
        elif num_tokens + length > budget.total:
            num_over += 1
            is_full = not budget.fill
        else:
            kept.append(index)
            num_tokens += length
    return Packing(kept, num_tokens, num_too_long, num_over, num_unseen)
