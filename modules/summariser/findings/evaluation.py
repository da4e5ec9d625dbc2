"""Evaluation of a summariser: the loss of all articles, and measures of drawn summaries."""

from abc import abstractmethod
from collections.abc import Collection, Sequence
from typing import Any

import torch
from torch import Tensor
from typing_extensions import override

from modules.decoding.evaluate import Answered
from modules.metrics.means import Means
from modules.summariser.batch import ArticleBatch
from modules.summariser.findings.judging import Judging
from modules.summariser.summarise import SummarisingSystem

COUNT = "_count"
"""Ending of the names of numbers of summaries that have a quantity."""
QUESTION = ("id", "article", "stance", "asked")
"""What measures know of a summary besides its text and its reference."""


class EvaluatingSystem(SummarisingSystem):
    """A system that is validated and tested; a subclass sets the options, and has a loss.

    Attributes:
        num_drawn: Articles of a validation that are summarised, on each rank.
        evaluation: Sum and number of the losses, in double precision.
    """

    num_drawn: int
    evaluation: Tensor

    @abstractmethod
    def add_loss(self, batch: ArticleBatch) -> None:
        """Add the loss of a batch, which depends neither on its other articles nor on ranks.

        Of no articles too: ranks that share the weights compute together.
        """

    @override
    def validated(self) -> Collection[str]:
        drawn = ["summaries", *self.quantities] if self.num_drawn and self.measures else []
        return [f"validate/{name}" for name in ("loss", *drawn)]

    def on_validation_epoch_start(self) -> None:
        """Start the sums."""
        self.evaluation = self.sum_over_ranks(torch.zeros(2))
        self.means = Means(self.quantities, self.device)
        self.num_left = self.num_drawn

    def validation_step(self, batch: ArticleBatch, batch_idx: int) -> None:
        """Add the loss at fixed steps and noise of each article, and measure some summaries."""
        self.add_loss(batch)
        if self.num_left and self.measures:
            some = cut(batch, self.num_left)
            self.num_left -= len(some["id_B"])
            self.measure(some)

    def measure(self, batch: ArticleBatch) -> list[Answered]:
        """Draw the summaries of a batch, and measure them by what is asked, not what a guide read.

        So measures are the same with and without guides.
        """
        texts, names = self.draw(batch, self.wanted(batch)), self.names
        if not texts:
            return []
        asked = names(batch["asked_B"])
        columns = (batch["id_B"], batch["article_B"], names(batch["stance_B"]), asked)
        questions = [dict(zip(QUESTION, row, strict=True)) for row in zip(*columns, strict=True)]
        known = [[one] if one else [] for one in batch["reference_B"]]
        answers = [Answered(*one) for one in zip(questions, texts, known, strict=True)]
        scores = [measure.score(answers) for measure in self.measures]
        self.means.add({name: values for one in scores for name, values in one.items()})
        return answers

    def on_validation_epoch_end(self) -> None:
        """Log the exact means over all ranks."""
        self._log_evaluation("validate", {})

    def on_test_epoch_start(self) -> None:
        """Start the sums, and what judges read."""
        self.on_validation_epoch_start()
        self.judging = Judging(self.readers, {one.source for one in self.control.guides})

    def test_step(self, batch: ArticleBatch, batch_idx: int) -> None:
        """Add the loss of a batch, and measure and judge all its summaries."""
        self.add_loss(batch)
        self.judging.add(self.measure(batch))

    def on_test_epoch_end(self) -> None:
        """Log the exact means over all ranks, and what judges say of all summaries."""
        self._log_evaluation("test", self.judging.row())
        self.gather()

    def _log_evaluation(self, stage: str, more: dict[str, float]) -> None:
        total, num = self.sum_over_ranks(self.evaluation).tolist()
        row = {"loss": total / num} if num else {}
        found = self.means.row(self.sum_over_ranks(self.means.sums))
        counts = [value for name, value in found.items() if name.endswith(COUNT)]
        row |= {name: value for name, value in found.items() if not name.endswith(COUNT)}
        row |= {"summaries": max(counts)} if counts else {}
        self.report({f"{stage}/{name}": value for name, value in (row | more).items()})


def cut(batch: ArticleBatch, num: int) -> ArticleBatch:
    """The first articles of a batch."""
    some: Any = {
        name: value[:num] if isinstance(value, Tensor | Sequence) else value
        for name, value in batch.items()
    }
    batch = some
    return batch
