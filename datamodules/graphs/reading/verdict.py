"""What a checker says of an answer."""

from dataclasses import dataclass
from typing import Literal, get_args

Verdict = Literal["right", "wrong", "suboptimal", "infeasible", "ambiguous", "unparsed"]
"""`suboptimal`: valid, but not the best; `infeasible`: breaks the graph, such as a path over an
edge that does not exist; `ambiguous`: two different answers; `unparsed`: none."""
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)


class Ambiguous:
    """A text with two different answers."""


AMBIGUOUS = Ambiguous()


@dataclass(frozen=True)
class StepCheck:
    """The steps of a rationale.

    Attributes:
        num: StepCheck that were recognised.
        num_right: Those that hold.
        is_proof: Whether they are all right, and prove the answer that the text gives.
    """

    num: int
    num_right: int
    is_proof: bool

    @property
    def share(self) -> float:
        """Share of the steps that hold; 0 without steps."""
        return self.num_right / self.num if self.num else 0.0
