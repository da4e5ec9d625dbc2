"""An LLM judge of answers as a Lightning system."""

from modules.decoding.judging.comparison import Comparison, PretrainedJudge, Sides
from modules.decoding.judging.verdicts import Judge
from modules.decoding.system import PerQuestionSystem


class Judging(PerQuestionSystem):
    """An LLM judge compares two answers to each question, in both orders.

    Args:
        judge: A model at an endpoint, or a local model that is loaded when the run begins.
        sides: Fields that hold the question and the answers.
        margin: Greatest difference of scores that is a tie.
        group: Field that is the same in questions that are not independent; all are independent if
            None.
        level: Share of the bootstrap's draws within the interval of the win rate.
        answers: Records of an earlier run; they are included in the totals.
    """

    def __init__(
        self,
        judge: Judge | PretrainedJudge,
        sides: Sides = Sides(),  # noqa: B008 - frozen
        margin: float = 0.0,
        group: str | None = None,
        level: float = 0.95,
        answers: str | None = None,
    ):
        super().__init__(Comparison(judge, sides, margin, group, level), answers)
