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
from modules.summariser.findings.judging import JudgedSummaries
from modules.summariser.findings.requests import by_pair, by_request, of_one_article
from modules.summariser.findings.stance_changes import beside, matrices
from modules.summariser.findings.tested import Row, SummaryRows
from modules.summariser.summarise import SummarisingSystem

COUNT = "_count"
"""Ending of the names of numbers of summaries that have a quantity."""
QUESTION = ("id", "article", "stance", "asked")
"""What measures know of a summary besides its text and its reference."""


class EvaluatingSystem(SummarisingSystem):
    """A system that is validated and tested; a subclass sets the options, and has a loss.

    `validate` and `test`, but no validation within training, keep each summary with its measures,
    count what stance became which, and compare the summaries of one article for several requests.

    Attributes:
        num_drawn: Articles of a validation that are summarised, on each rank.
        evaluation: Sum and number of the losses, in double precision.
        tested: Collects the summaries; None within training.
        rows: All of them, at the end.
    """

    num_drawn: int
    evaluation: Tensor
    tested: SummaryRows | None = None
    rows: Sequence[Row] = ()

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
        self.tested = None if self.trainer.state.fn == "fit" else SummaryRows(self.measures)

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
        if self.tested is not None:
            self.tested.add(answers, scores)
        return answers

    def on_validation_epoch_end(self) -> None:
        """Log the exact means over all ranks."""
        self._log_evaluation("validate", {})

    def on_test_epoch_start(self) -> None:
        """Start the sums, and what judges read."""
        self.on_validation_epoch_start()
        self.judging = JudgedSummaries(self.readers, self.guide_sources)

    def test_step(self, batch: ArticleBatch, batch_idx: int) -> None:
        """Add the loss of a batch, and measure and judge all its summaries."""
        self.add_loss(batch)
        self.judging.add(self.measure(batch))

    def on_test_epoch_end(self) -> None:
        """Log the exact means over all ranks, and what judges say of all summaries."""
        self._log_evaluation("test", self.judging.row())

    @property
    def guide_sources(self) -> list[str]:
        """Of all guides: those that steer, and the one that labels training summaries."""
        token = self.stance_token
        guides = [*self.control.guides, token.guide if token is not None else None]
        return [one.source for one in guides if one is not None]

    @override
    def gather(self) -> None:
        super().gather()
        self.rows = self.tested.gathered() if self.tested else []

    def _log_evaluation(self, stage: str, more: dict[str, float]) -> None:
        total, num = self.sum_over_ranks(self.evaluation).tolist()
        row = {"loss": total / num} if num else {}
        found = self.means.row(self.sum_over_ranks(self.means.sums))
        counts = [value for name, value in found.items() if name.endswith(COUNT)]
        row |= {name: value for name, value in found.items() if not name.endswith(COUNT)}
        row |= {"summaries": max(counts)} if counts else {}
        self.gather()
        row |= self.followed() | more
        self.report({f"{stage}/{name}": value for name, value in row.items()})

    def followed(self) -> dict[str, float]:
        """How often the summaries of the same articles follow each request, by reader."""
        rows = [row for group in of_one_article(self.rows) for row in group]
        readers = [one.name for one in self.readers]
        found = by_request(rows, self.stances, readers)
        return {
            f"{one}_follows_{row['asked']}": row[f"{one}_follows"]
            for row in found
            for one in readers
        }

    @override
    def findings(self) -> dict[str, Any]:
        """Files of the run folder: traces; summaries, changes of stance, requests compared."""
        found = super().findings()
        if self.rows:
            found |= {"summaries.jsonl": self.rows} | self.changes() | self.requests()
        return found

    def changes(self) -> dict[str, Any]:
        """Which stance became which, as each reader says."""
        every = [matrices(self.rows, one.name, one.classes) for one in self.readers]
        tables = [one for some in every for one in some]
        if not tables:
            return {}
        return {
            "stance_matrix.csv": [row for one in tables for row in one.rows()],
            "stance_shifts.csv": [one.shifts() for one in tables if one.given == "article"],
            "stance_matrix.png": beside(
                [[one.picture() for one in some] for some in every if some]
            ),
        }

    def requests(self) -> dict[str, Any]:
        """Articles that several stances were asked for: what follows the request, what stays."""
        groups = of_one_article(self.rows)
        if not groups:
            return {}
        rows, readers = [row for group in groups for row in group], [r.name for r in self.readers]
        return {
            "requests.csv": by_request(rows, self.stances, readers),
            "request_pairs.csv": by_pair(groups, self.stances),
        }


def cut(batch: ArticleBatch, num: int) -> ArticleBatch:
    """The first articles of a batch."""
    some: Any = {
        name: value[:num] if isinstance(value, Tensor | Sequence) else value
        for name, value in batch.items()
    }
    batch = some
    return batch
