"""Tasks for decoding methods: questions with a context, prompts to continue, articles to summarise.

A batch is a dict of lists with one entry per question, for both `test` and `predict`:

- `id`: list[str]; unique and stable name of a question.
- `question`: list[dict[str, str]]; its texts by field, from which prompts are built. A text may be
  empty. Questions of different sources may have different fields.
- `reference`: list[list[str]]; acceptable answers; may be empty.
- `choices`: list[list[str]]; continuations to choose from, spaces included; may be empty.
- `answer`: list[int]; index of the right choice, -1 without choices.

A device without remaining questions gets empty lists.
"""

from collections import Counter
from typing import Literal

import numpy as np
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities.rank_zero import rank_zero_only, rank_zero_warn
from numpy.typing import NDArray

from datamodules.questions.source import Question, QuestionSource
from datamodules.records.answered import answered
from datamodules.records.row_tally import RowTally
from datamodules.stream.checks import check_bounds, check_ids, check_shares
from datamodules.stream.datamodule import ResumableData
from datamodules.stream.loader import Batch, EvaluationLoader

Command = Literal["test", "predict"]


class Questions:
    """Questions as batches; the module's docstring describes a batch.

    Args:
        questions: The questions.
    """

    def __init__(self, questions: list[Question]):
        self.questions = questions

    def __len__(self) -> int:
        """Number of questions."""
        return len(self.questions)

    def batch(self, ids: NDArray[np.int64], num_real: int) -> Batch:
        """The real questions."""
        chosen = [self.questions[index] for index in ids[:num_real].tolist()]
        return {
            "id": [one.id for one in chosen],
            "question": [one.fields for one in chosen],
            "reference": [one.references for one in chosen],
            "choices": [one.choices for one in chosen],
            "answer": [one.answer for one in chosen],
        }


class QuestionData(ResumableData):
    """Questions of one or several sources in order, each question once.

    Args:
        test: Sources of `test`; None takes those of `predict`.
        predict: Sources of `predict`; None takes those of `test`.
        batch_size: Questions per device.
        limit: Number of first questions of each source that are asked; None for all.
        answers: A file of answers of an interrupted `predict` (JSON lines with a key `id`,
            or a glob of such files): `predict` skips the questions answered there.
        max_bad_rate: Share of unusable questions in a source above which the run stops.

    Raises:
        ValueError: There is no source, or a number is out of bounds.
    """

    def __init__(
        self,
        test: list[QuestionSource] | None = None,
        predict: list[QuestionSource] | None = None,
        batch_size: int = 8,
        limit: int | None = None,
        answers: str | None = None,
        max_bad_rate: float = 0.01,
    ):
        super().__init__()
        if not test and not predict:
            raise ValueError("there are no questions: give test or predict a source.")
        self.sources = {"test": test or predict or [], "predict": predict or test or []}
        self.batch_size = batch_size
        self.limit = limit
        self.answers = answers
        self.max_bad_rate = max_bad_rate
        bounded = {"batch_size": batch_size, "limit": 1 if limit is None else limit}
        check_bounds(bounded, {"batch_size": 1, "limit": 1})
        check_shares(vars(self), ["max_bad_rate"])
        self._questions: dict[str, Questions] = {}

    def setup(self, stage: str) -> None:
        """Read the questions of a command and report bad or empty ones.

        Raises:
            ValueError: The command trains or validates; too many questions are bad; or two have
                the same id.
        """
        command = TrainerFn(stage).value
        if command not in self.sources:
            raise ValueError(
                f"{command} has nothing to do: questions are for test and predict only."
            )
        if command not in self._questions:
            found = [one for source in self.sources[command] for one in self._read(source)]
            check_ids(found, "questions", "answers")
            if command == "predict" and self.answers is not None:
                found = unanswered(found, self.answers)
            self._questions[command] = Questions(found)

    def test_dataloader(self) -> EvaluationLoader:
        """Every question once, answered or not."""
        return self._once("test")

    def predict_dataloader(self) -> EvaluationLoader:
        """Every question without an answer once."""
        return self._once("predict")

    def _once(self, command: Command) -> EvaluationLoader:
        questions = self._questions[command]
        return self.evaluation_loader(questions, len(questions), self.batch_size)

    def _read(self, source: QuestionSource) -> list[Question]:
        """The good questions of a source; bad ones are counted and listed."""
        questions = source.questions()
        good = list(RowTally().sift(questions, self.max_bad_rate, source.name, self.limit))
        tell_empty(good, source.name)
        return good


def tell_empty(questions: list[Question], name: str) -> None:
    """Warn about questions with an empty field; they are asked nevertheless.

    Args:
        questions: Questions of one source.
        name: Name of the source.
    """
    empty = Counter(key for one in questions for key, value in one.fields.items() if not value)
    if empty:
        counts = ", ".join(f"{count} have an empty {field!r}" for field, count in empty.items())
        rank_zero_warn(f"{name}: of {len(questions)} questions {counts}; they are asked as well.")


def unanswered(questions: list[Question], path: str) -> list[Question]:
    """The questions missing in a file of answers; prints their number.

    Args:
        questions: All questions.
        path: The file.
    """
    known = answered(path)
    left = [one for one in questions if one.id not in known]
    done = len(questions) - len(left)
    rank_zero_only(print)(
        f"{path} has answers to {done:,} of {len(questions):,} questions; {len(left):,} are left."
    )
    if len(known) > done:
        rank_zero_warn(f"{path} has {len(known) - done} answers to other questions than these.")
    return left
