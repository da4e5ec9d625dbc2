"""A model at an endpoint that is asked questions with checked answers; evaluation only."""

from typing import Any

from typing_extensions import override

from modules.decoding.black_box.method import EndpointConfig
from modules.decoding.records import Record, gathered
from modules.decoding.system import PerQuestionSystem, QuestionBatch
from modules.graph.asking import Checker
from modules.graph.remote.asker import SET, TASK, EndpointAsker, Request, by_task, means
from modules.prompting.question import Question

LEFT_OUT = ("question", "query", "problem", "check", "num_cut", "continuation", "number")
"""Fields of a record that `answers.jsonl` has under another name, or not at all."""


class AskedEndpoint(PerQuestionSystem):
    """Ask a model at an endpoint what `GraphLM` asks a local one.

    `test` logs and writes what a test of `GraphLM` does: means of each test set, and all answers
    as `answers.jsonl`. `predict` writes every answer as it comes, and prints the same means; a run
    that ended early goes on with its file, and a `test` that is given the file asks only what it
    does not hold.

    Args:
        endpoint: Of the model.
        checker: Judges the answers.
        request: How questions are asked.
        answers: Records of an earlier run, which are included in the totals; `test` judges their
            answers again.
    """

    asker: EndpointAsker

    def __init__(
        self,
        endpoint: EndpointConfig,
        checker: Checker,
        request: Request = Request(),  # noqa: B008 - frozen
        answers: str | None = None,
    ):
        super().__init__(EndpointAsker(endpoint, checker, request), answers)

    @override
    def predict_step(self, batch: QuestionBatch, batch_idx: int) -> list[Record]:
        """Ask the questions of a batch concurrently; one record per question.

        Raises:
            ValueError: The file of earlier answers is about other problems.
        """
        for question in batch["question"]:
            self._refuse_other(question)
        return super().predict_step(batch, batch_idx)

    def _refuse_other(self, question: Question) -> None:
        """Refuse a question whose test set has earlier answers to another set."""
        known, task = question.get(SET), question.get(TASK)
        other = next((r for r in self.before.values() if r.get(TASK) == task), {}).get(SET, known)
        if other != known:
            raise ValueError(
                f"{self.answers} holds answers to {other}, but {task} asks {known}: results of "
                "other problems are not compared; give another file"
            )

    @override
    def _record(self, asked: tuple[str, Question, list[str], int]) -> Record:
        """The record of a question, from the earlier answers where they hold it."""
        name, question, _, _ = asked
        known = self.before.get(name)
        if known is None:
            return super()._record(asked)
        judged = self.asker.judged(question, str(known["continuation"]), bool(known.get("cut")))
        return {"id": name, **question, **judged}

    # Test

    def on_test_start(self) -> None:
        """Read the earlier records."""
        self.on_predict_start()

    def test_step(self, batch: QuestionBatch, batch_idx: int) -> None:
        """Ask the questions of a batch that have no answer yet."""
        self.predict_step(batch, batch_idx)

    def on_test_epoch_end(self) -> None:
        """Log the means of each test set over all ranks."""
        found = sorted(gathered(self.records), key=lambda one: int(one.get("number", 0)))
        self.records = [one for records in by_task(found).values() for one in records]
        row = {f"test/{name}": value for name, value in means(self.records).items()}
        self.log_dict(row, logger=False, sync_dist=True)
        for logger in self.loggers:
            logger.log_metrics(row, self.global_step)

    def findings(self) -> dict[str, Any]:
        """All answers of a test, as `answers.jsonl`; nothing after `predict`, which wrote them."""
        if not self.trainer.testing or not self.records:
            return {}
        return {"answers.jsonl": [finding(one) for one in self.records]}


def finding(record: Record) -> Record:
    """A line of `answers.jsonl`, as `GraphLM` writes it."""
    kept = {name: value for name, value in record.items() if name not in LEFT_OUT}
    number = int(record.get("number", 0))
    return kept | {"number": number, "text": record["continuation"]}
