"""Decoding as a Lightning system: `predict` answers questions, `test` judges answers."""

from typing import Any, TypedDict

import lightning as L
import torch
from torch import nn
from typing_extensions import override

from modules.causal_lm.generate import Generation
from modules.decoding.branches import Branches, Question
from modules.decoding.decoder import Decoder, Written
from modules.decoding.likelihood import Likelihood
from modules.decoding.measures import Answered, Measure
from modules.decoding.methods import Method

GREEDY = Generation(max_new_tokens=128, temperature=0.0)
"""The most likely tokens."""


class QuestionBatch(TypedDict):
    """Questions, in plain Python; a rank that has nothing left to do gets empty lists.

    Attributes:
        id: Names of the questions, which stay the same from run to run.
        question: Fields that prompts are made of.
        reference: Acceptable answers of each; may be none.
        choices: Continuations to choose from, verbatim; may be none.
        answer: Number of the right choice; -1 where there is none.
    """

    id: list[str]
    question: list[dict[str, str]]
    reference: list[list[str]]
    choices: list[list[str]]
    answer: list[int]


class Decoding(L.LightningModule):
    """Answer questions by combined branches.

    Args:
        method: Makes the branches; models are loaded when the run begins.
        generation: How tokens are chosen.
        num_beams: Beams of a beam search; none where 1.
        num_answers: Answers to a question.
        cut_field: Field whose end is cut off where a prompt is too long.
        per_token: Whether `predict` writes what every branch thinks of every token.
        measures: What `test` reports of answers.
    """

    def __init__(
        self,
        method: Method,
        generation: Generation = GREEDY,
        num_beams: int = 1,
        num_answers: int = 1,
        cut_field: str = "context",
        per_token: bool = False,
        measures: list[Measure] | None = None,
    ):
        super().__init__()
        self.method = method
        self.generation = generation
        self.num_beams = num_beams
        self.num_answers = num_answers
        self.cut_field = cut_field
        self.per_token = per_token
        self.measures = measures or []
        self.decoder: Decoder | None = None

    @override
    def configure_model(self) -> None:
        if self.decoder is not None:
            return
        branches = self.method.load()
        self.network = nn.ModuleList(movable(branches))
        cache, share = self.generation.cache, self.num_answers > 1
        self.decoder = Decoder(branches, self.cut_field, cache, share)

    @property
    def arguments(self) -> dict[str, Any]:
        """Of transformers' `generate`."""
        several = {"num_beams": self.num_beams, "num_return_sequences": self.num_answers}
        return self.generation.arguments() | several

    @property
    def stops(self) -> list[str]:
        """Strings that end an answer."""
        return [*self.generation.stop, *self.method.stops]

    def answers(self, questions: list[Question]) -> list[Written]:
        """Answers, several of a question together."""
        assert self.decoder is not None
        return self.decoder.generate(questions, stop=self.stops, **self.arguments)

    # Predict

    def predict_step(self, batch: QuestionBatch, batch_idx: int) -> list[dict[str, Any]]:
        """Answer questions; one record each."""
        written = self.answers(list(batch["question"]))
        told = self._by_token(list(batch["question"]), written)
        records = []
        for number, name in enumerate(batch["id"]):
            mine = [i for i, one in enumerate(written) if one.question == number]
            texts = [written[i].text for i in mine]
            record: dict[str, Any] = {"id": name, **batch["question"][number]}
            if self.per_token:
                tokens = [told[i] for i in mine]
                record["tokens"] = tokens[0] if self.num_answers == 1 else tokens
            record["continuation"] = texts[0] if self.num_answers == 1 else texts
            records.append(record)
        return records

    def _by_token(self, questions: list[Question], written: list[Written]) -> list[Any]:
        """What all branches think of every token of every answer."""
        if not self.per_token or not written:
            return []
        assert self.decoder is not None
        asked = [questions[one.question] for one in written]
        found = self.decoder.loglikelihood(
            asked, [one.tokens for one in written], len(questions), by_branch=True
        )
        names = self.decoder.tokenizer.convert_ids_to_tokens
        return [
            token_records(names(one.tokens), likelihood)
            for one, likelihood in zip(written, found, strict=True)
        ]

    # Test

    @property
    def quantities(self) -> list[str]:
        """Names of what a test reports, in order."""
        return ["choice_accuracy", *(name for one in self.measures for name in one.names)]

    def on_test_epoch_start(self) -> None:
        """Start the sums and counts of all quantities."""
        self.sums = torch.zeros(2, len(self.quantities), dtype=torch.float64, device=self.device)

    def test_step(self, batch: QuestionBatch, batch_idx: int) -> None:
        """Judge answers and choices."""
        if not batch["id"]:
            return
        found = {"choice_accuracy": self._choices(batch)}
        if self.measures:
            pairs = zip(
                batch["question"], self.first_answers(batch), batch["reference"], strict=True
            )
            answers = [Answered(question, text, wanted) for question, text, wanted in pairs]
            for measure in self.measures:
                found |= measure.score(answers)
        for place, name in enumerate(self.quantities):
            self.sums[0, place] += sum(found[name])
            self.sums[1, place] += len(found[name])

    def first_answers(self, batch: QuestionBatch) -> list[str]:
        """The first answer to each question."""
        written = self.answers(list(batch["question"]))
        return [one.text for one in written[:: max(1, self.num_answers)]]

    def _choices(self, batch: QuestionBatch) -> list[float]:
        """1 for each question whose right choice is the most likely one, 0 for others."""
        assert self.decoder is not None
        asked = [(b, choice) for b, choices in enumerate(batch["choices"]) for choice in choices]
        questions = [batch["question"][b] for b, _ in asked]
        found = self.decoder.loglikelihood(questions, [text for _, text in asked])
        right = []
        for b, answer in enumerate(batch["answer"]):
            scores = [one.total for (q, _), one in zip(asked, found, strict=True) if q == b]
            if scores:
                right.append(float(max(range(len(scores)), key=scores.__getitem__) == answer))
        return right

    def on_test_epoch_end(self) -> None:
        """Log the means over all ranks, and how many questions they are of."""
        sums = self.trainer.strategy.reduce(self.sums, reduce_op="sum")
        total, count = sums.tolist()
        row = {}
        for name, value, num in zip(self.quantities, total, count, strict=True):
            if num:
                row[f"test/{name}"] = value / num
                row[f"test/{name}_count"] = num
        self.log_dict(row, logger=False)
        if self.logger is not None:
            self.logger.log_metrics(row, self.global_step)


def movable(branches: Branches) -> list[nn.Module]:
    """Models that go where the run is: all but those that were put on a device by name."""
    models = {id(one.model): one.model for one in branches.branches}
    return [one for one in models.values() if one.device.type == "cpu"]


def token_records(names: list[str], likelihood: Likelihood) -> list[dict[str, Any]]:
    """Log-probabilities of each token, combined and by branch, in nats."""
    return [
        {
            "token": name,
            "combined": round(likelihood.tokens[n], 4),
            **{branch: round(scores[n], 4) for branch, scores in likelihood.branches.items()},
        }
        for n, name in enumerate(names)
    ]
