"""Questions with checked answers, asked beside what a language model learns.

Shape legend: B = questions of a batch, L = longest prompt.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from modules.base.rank_share import RankShare
from modules.causal_lm.system import CausalLM
from modules.causal_lm.tokens.padding import padded
from modules.metrics.image.frechet_metric import over_ranks

Answer = dict[str, Any]
"""What is known of an answer: `id`, `task`, the text, and all that the checker says."""


class PosedQuestion(Protocol):
    """A question in words."""

    @property
    def id(self) -> str:
        """Its name."""

    @property
    def fields(self) -> Mapping[str, str]:
        """Its texts by name."""


@runtime_checkable
class AskingData(Protocol):
    """Data with questions that are asked."""

    def asked(self, stage: str) -> Mapping[str, Sequence[PosedQuestion]]:
        """The questions of `validate` or `test`, by task."""

    def prompt_ids(self, question: Mapping[str, str]) -> list[int]:
        """Token ids of the prompt of a question."""


class Checker(Protocol):
    """Says what an answer is worth. A class of the data may be one."""

    def check(self, question: Any, answer: str) -> dict[str, Any]:
        """Texts and numbers by name, among them `verdict` and `right`, 0 or 1.

        A number that does not apply to this answer is None.
        """

    def shown(self, question: Any, answer: str) -> dict[str, Any]:
        """What a picture of an answer shows, as `modules.graph.picture.graph_picture` takes it.

        Beside it the sentence of a right answer, `right_answer`; nothing where the graph of the
        question is not known.
        """


class AskedLM(CausalLM):
    """A language model that is asked the questions of its data in `validate` and `test`.

    Attributes:
        checker: Judges the answers.
        asks_per_batch: Questions that are answered together.
    """

    checker: Checker
    asks_per_batch: int
    answers: list[Answer]

    def ask(self, stage: str) -> None:
        """Ask all questions of a stage and log the means of each task."""
        data = getattr(self.trainer, "datamodule", None)
        self.answers = []
        if not isinstance(data, AskingData):
            return
        for task, questions in data.asked(stage).items():
            own = RankShare(self.data_rank, self.num_ranks).of(len(questions))
            answered = over_ranks(list(self.answered(questions, own, data)))
            by_number = {one["number"]: one | {"task": task} for one in answered}
            found = [by_number[number] for number in sorted(by_number)]
            self.answers += found
            means = {f"{stage}/{task}/{name}": mean for name, mean in summary(found).items()}
            self.report(means)

    def answered(
        self, questions: Sequence[PosedQuestion], numbers: Sequence[int], data: AskingData
    ) -> Iterator[Answer]:
        """Answers to some of the questions, those with prompts of like length together."""
        prompts = {number: data.prompt_ids(questions[number].fields) for number in numbers}
        order = sorted(numbers, key=lambda number: -len(prompts[number]))
        for first in range(0, len(order), self.asks_per_batch):
            chosen = order[first : first + self.asks_per_batch]
            ids = [prompts[number] for number in chosen]
            token_BL, mask_BL = padded(ids, device=self.device, pad=ids[0][0])
            names = [questions[number].id for number in chosen]
            generators = self.generators(names, [0] * len(names))
            texts = self._continue(token_BL, mask_BL.bool(), generators)
            for number, text in zip(chosen, texts, strict=True):
                asked = questions[number]
                known = {"id": asked.id, "set": asked.fields.get("set", ""), "number": number}
                yield known | self.checker.check(asked.fields, text) | {"text": text}

    def findings(self) -> dict[str, Any]:
        """All answers, as `answers.jsonl`; nothing after `predict`, whose records hold them."""
        found = getattr(self, "answers", [])
        return {"answers.jsonl": found} if found else {}


def summary(answers: Sequence[Answer]) -> dict[str, float]:
    """Mean of each number of some answers, and the share of each verdict but `right`."""
    values: dict[str, list[float]] = defaultdict(list)
    for one in answers:
        for name, value in one.items():
            if isinstance(value, float):
                values[name].append(value)
    means = {name: sum(found) / len(found) for name, found in values.items()}
    verdicts = [one["verdict"] for one in answers]
    others = {*verdicts} - {"right"}
    return means | {name: verdicts.count(name) / len(verdicts) for name in sorted(others)}
