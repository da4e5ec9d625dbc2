"""How many demonstrations fit before the question (Han, 2023)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Budget:
    """What demonstrations may take, in tokens of the model that reads them.

    Attributes:
        total: All demonstrations together.
        longest: A single one; longer ones are skipped.
        fill: Whether to go on with shorter ones after the first that does not fit. The paper stops
            there.
        prompt: The whole prompt with its question, exactly: the least similar demonstrations give
            way; a question that is longer by itself stays as it is. No limit where None.
    """

    total: int = 3000
    longest: int = 500
    fill: bool = False
    prompt: int | None = None

    def __post_init__(self) -> None:
        """Refuse what nothing fits in."""
        for name in ("total", "longest", "prompt"):
            value = getattr(self, name)
            if value is not None and value < 0:
                raise ValueError(f"{name} must not be negative, got {value}.")


@dataclass(frozen=True)
class Packing:
    """Which candidates are kept, and why others are not.

    Attributes:
        kept: Their numbers among the candidates, the best first.
        num_tokens: What they take together.
        num_too_long: Candidates skipped because they alone are longer than allowed.
        num_over: Candidates that did not fit any more.
        num_unseen: Candidates behind the one that ended packing.
    """

    kept: list[int]
    num_tokens: int
    num_too_long: int
    num_over: int
    num_unseen: int

    def without_last(self, lengths: Sequence[int]) -> "Packing":
        """The same without the last candidate that was kept.

        Args:
            lengths: Tokens of each candidate.
        """
        *kept, last = self.kept
        left = self.num_tokens - lengths[last]
        return replace(self, kept=kept, num_tokens=left, num_over=self.num_over + 1)


def pack(lengths: Sequence[int], budget: Budget) -> Packing:
    """Walk through candidates, the best first, and keep what fits.

    Args:
        lengths: Tokens of each candidate, the best first.
        budget: What they may take.
    """
    kept: list[int] = []
    num_tokens = num_too_long = num_over = num_unseen = 0
    is_full = False
    for number, length in enumerate(lengths):
        if is_full:
            num_unseen += 1
        elif length > budget.longest:
            num_too_long += 1
        elif num_tokens + length > budget.total:
            num_over += 1
            is_full = not budget.fill
        else:
            kept.append(number)
            num_tokens += length
    return Packing(kept, num_tokens, num_too_long, num_over, num_unseen)
