"""What an answer is worth."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from modules.metrics.text.answer_match import RULES

Rule = Literal["exact", "first_line", "begins", "contains"]


class Reward(Protocol):
    """Judges answers.

    It may have an attribute `labels`, all labels that it gives; those are then logged from the
    first step on, also while no answer has them.
    """

    def judge(self, question: Any, answer: Any) -> Any:
        """Reward and label of an answer.

        It takes the fields of the question (`Mapping[str, str]`) and the text of the answer, and
        returns a float, higher for better answers, and a word that says how the answer fared, such
        as "right" or "unparsed". The types are Any since a config names a class for this protocol:
        parameters must match exactly there, but Any matches all.
        """


@dataclass(frozen=True)
class FieldMatch:
    """1 for an answer that matches a field of the question, else 0.

    Attributes:
        field: The field that holds the right answer.
        rule: What counts as a match (`modules.metrics.text.answer_match`).
    """

    field: str = "answer"
    rule: Rule = "first_line"

    labels = ("right", "wrong", "empty")

    def judge(self, question: Mapping[str, str], answer: str) -> tuple[float, str]:
        """Reward, and right, wrong or empty."""
        if not answer.strip():
            return 0.0, "empty"
        is_right = RULES[self.rule](answer, [question[self.field]])
        return float(is_right), "right" if is_right else "wrong"
