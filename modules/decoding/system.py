"""Decoding as a Lightning system: `predict` answers questions, `test` measures answers.

`Decoding` combines local models. `PerQuestionSystem` is the common base of the systems that ask one
question at a time: a model behind an endpoint, and an LLM judge.
"""

from collections.abc import Iterable, Sequence
from typing import Any, TypedDict

import lightning as L
from torch import nn
from typing_extensions import override

from modules.causal_lm.generate import Generation
from modules.decoding.decoder import Decoder, Written
from modules.decoding.evaluate import Answered, Measure, load_all
from modules.decoding.fitting import Asked
from modules.decoding.methods import DecodingMethod
from modules.decoding.naming import naming
from modules.decoding.records import (
    QuestionAnswerer,
    Record,
    Totals,
    by_token,
    earlier,
    gathered,
    right_choices,
)
from modules.endpoint.client import at_once
from modules.metrics.means import Means
from modules.prompting.question import Question

GREEDY = Generation(max_new_tokens=128, temperature=0.0)
"""The most likely tokens."""


class QuestionBatch(TypedDict):
    """Questions, in plain Python; a rank without questions left gets empty lists.

    Attributes:
        id: Ids of the questions, the same in every run.
        question: Fields of each question, from which prompts are made.
        reference: Acceptable answers of each; may be empty.
        choices: Continuations to choose from, verbatim; may be empty.
        answer: Index of the right choice; -1 if there is none.
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
        num_beams: Beams of a beam search; 1 for none.
        num_answers: Answers to a question.
        cut_field: Field that is truncated if a prompt is too long.
        per_token: Whether `predict` writes the log-probability of every token under every branch.
        measures: What `test` computes of answers.
    """

    no_export = "nothing is trained, and its models are folders already"

    def __init__(
        self,
        method: DecodingMethod,
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
        self.network = nn.ModuleList(movable(one.model for one in branches.branches))
        cache, share = self.generation.cache, self.num_answers > 1
        self.decoder = Decoder(branches, self.cut_field, cache, share)

    @property
    def arguments(self) -> dict[str, Any]:
        """Arguments of transformers' `generate`."""
        several = {"num_beams": self.num_beams, "num_return_sequences": self.num_answers}
        return self.generation.arguments() | several

    @property
    def stops(self) -> list[str]:
        """Strings that end an answer."""
        return [*self.generation.stop, *self.method.stops]

    def answers(self, questions: Sequence[Asked], names: Sequence[str]) -> list[Written]:
        """Answers; several answers of a question are adjacent.

        Args:
            questions: What is asked, cut or not.
            names: Ids of the questions, which seed the draws together with the seed.
        """
        assert self.decoder is not None
        how = self.generation
        return self.decoder.generate(
            questions, stop=self.stops, ends=how.ends, seed=how.seed, names=names, **self.arguments
        )

    # Predict

    def predict_step(self, batch: QuestionBatch, batch_idx: int) -> list[dict[str, Any]]:
        """Answer questions; one record each."""
        assert self.decoder is not None
        asked = self.decoder.fit(batch["question"], self.generation.max_new_tokens, batch["id"])
        written = self.answers(asked, batch["id"])
        token_records = by_token(self.decoder, written) if self.per_token else []
        records = []
        for index, name in enumerate(batch["id"]):
            mine = [i for i, one in enumerate(written) if one.question == index]
            texts = [written[i].text for i in mine]
            record: dict[str, Any] = {"id": name, **batch["question"][index]}
            record["num_cut"] = asked[index].num_cut
            if self.per_token:
                tokens = [token_records[i] for i in mine]
                record["tokens"] = tokens[0] if self.num_answers == 1 else tokens
            record["continuation"] = texts[0] if self.num_answers == 1 else texts
            records.append(record)
        return records

    # Test

    @property
    def quantities(self) -> list[str]:
        """Names of what a test reports, in order."""
        return ["choice_accuracy", "cut", *(name for one in self.measures for name in one.names)]

    def on_test_start(self) -> None:
        """Load the models of measures, so that a fault shows before the first answer."""
        load_all(self.measures)

    def on_test_epoch_start(self) -> None:
        """Start the means of all quantities."""
        self.means = Means(self.quantities, self.device)

    def test_step(self, batch: QuestionBatch, batch_idx: int) -> None:
        """Score answers and choices."""
        if not batch["id"]:
            return
        assert self.decoder is not None
        asked = self.decoder.fit(batch["question"], self.rooms(batch), batch["id"])
        right = right_choices(self.decoder, asked, batch["choices"], batch["answer"])
        found = {"choice_accuracy": right, "cut": [float(one.num_cut > 0) for one in asked]}
        if self.measures:
            texts = self.first_answers(asked, batch["id"])
            pairs = zip(batch["question"], texts, batch["reference"], strict=True)
            answers = [Answered(question, text, wanted) for question, text, wanted in pairs]
            for measure in self.measures:
                found |= measure.score(answers)
        self.means.add(found)

    def rooms(self, batch: QuestionBatch) -> list[int]:
        """Tokens to reserve after each question: of its longest choice, or of an answer if needed.

        Answer and choices of a question follow the same prompt.
        """
        least = self.generation.max_new_tokens if self.measures else 0
        columns = zip(batch["id"], batch["question"], batch["choices"], strict=True)
        return [max([least, *self._lengths(*one)]) for one in columns]

    def _lengths(self, name: str, question: Question, choices: Sequence[str]) -> list[int]:
        """Tokens of each choice."""
        assert self.decoder is not None
        with naming(name):
            return [len(self.decoder.continuation_ids(question, one)) for one in choices]

    def first_answers(self, asked: Sequence[Asked], names: Sequence[str]) -> list[str]:
        """The first answer to each question."""
        written = self.answers(asked, names)
        return [one.text for one in written[:: max(1, self.num_answers)]]

    def on_test_epoch_end(self) -> None:
        """Log the means over all ranks, the number of questions, and how many were cut."""
        sums = self.trainer.strategy.reduce(self.means.sums, reduce_op="sum")
        found = self.means.row(sums)
        num = found.pop("cut_count", 0.0)
        found |= {"questions": num, "num_cut": float(round(num * found.pop("cut", 0.0)))}
        row = {f"test/{name}": value for name, value in found.items()}
        self.log_dict(row, logger=False, sync_dist=True)
        for logger in self.loggers:
            logger.log_metrics(row, self.global_step)


# One question at a time


class PerQuestionSystem(L.LightningModule):
    """Ask questions one at a time, and report the totals of all records at the end.

    Records are written per batch: after an error, the questions of that batch are asked again.

    Args:
        asker: Makes a record of each question; its models are loaded when the run begins.
        answers: Records of an earlier run, a file or a glob; they are included in the totals.
    """

    no_export = Decoding.no_export

    def __init__(self, asker: QuestionAnswerer, answers: str | None = None):
        super().__init__()
        self.asker = asker
        self.answers = answers
        self.network: nn.ModuleList | None = None
        self.before = dict[str, Record]()
        self.records = list[Record]()

    @override
    def configure_model(self) -> None:
        if self.network is None:
            self.network = nn.ModuleList(movable(self.asker.load()))

    def on_predict_start(self) -> None:
        """Read the earlier records before any are added."""
        self.before, self.records = earlier(self.answers), []

    def predict_step(self, batch: QuestionBatch, batch_idx: int) -> list[Record]:
        """Ask the questions of a batch concurrently; one record per question."""
        columns = (batch[name] for name in ("id", "question", "choices", "answer"))
        made = at_once(self._record, zip(*columns, strict=True), self.asker.at_once)
        self.records += made
        return made

    def _record(self, asked: tuple[str, Question, list[str], int]) -> Record:
        name, question, choices, right = asked
        with naming(name):
            return {"id": name, **question, **self.asker.ask(question, choices, right, name)}

    def on_predict_epoch_end(self) -> None:
        """Report the totals of the records of all ranks and earlier runs."""
        made = {str(one["id"]): one for one in gathered(self.records)}
        records = list((self.before | made).values())
        totals = self.asker.totals(records) if records else Totals("there were no questions", {})
        self.trainer.print(totals.text)
        for logger in self.loggers if totals.row else ():
            logger.log_metrics({f"predict/{k}": v for k, v in totals.row.items()}, 0)


def movable(models: Iterable[Any]) -> list[nn.Module]:
    """Models to move to the run's device: all that were not put on a device by name."""
    different = {id(one): one for one in models}
    return [one for one in different.values() if one.device.type == "cpu"]
