"""How answers are judged in a test: short answers, overlap, faithfulness."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from modules.decoding.branches import Question
from modules.metrics.bert_score import BertScore
from modules.metrics.factuality import Classifier, factuality
from modules.metrics.overlap import RULES, rouge

Rule = Literal["exact", "first_line", "begins", "contains"]


@dataclass(frozen=True)
class Answered:
    """An answer beside what it is measured against.

    Attributes:
        question: What was asked.
        text: The answer.
        references: Acceptable answers; may be none.
    """

    question: Question
    text: str
    references: list[str]


class Measure(Protocol):
    """Judges answers."""

    @property
    def names(self) -> list[str]:
        """Of its quantities."""

    def score(self, answers: Sequence[Answered]) -> dict[str, list[float]]:
        """One value an answer that can be judged, by name; higher is better."""


@dataclass(frozen=True)
class ShortAnswer:
    """Whether an answer is one of the references.

    Attributes:
        rule: What counts as the same (`modules.metrics.overlap`).
    """

    rule: Rule = "first_line"

    @property
    def names(self) -> list[str]:
        """The rule's."""
        return [f"match_{self.rule}"]

    def score(self, answers: Sequence[Answered]) -> dict[str, list[float]]:
        """1 where it is, 0 where not; answers without references are passed over."""
        is_same: Callable[[str, Sequence[str]], bool] = RULES[self.rule]
        judged = [one for one in answers if one.references]
        return {self.names[0]: [float(is_same(one.text, one.references)) for one in judged]}


@dataclass(frozen=True)
class Rouge:
    """ROUGE-1, ROUGE-2 and ROUGE-L as F1 (Lin, 2004)."""

    @property
    def names(self) -> list[str]:
        """Of the three."""
        return ["rouge_1", "rouge_2", "rouge_l"]

    def score(self, answers: Sequence[Answered]) -> dict[str, list[float]]:
        """Of each answer; those without references are passed over."""
        judged = [one for one in answers if one.references]
        found = [rouge(one.text, one.references) for one in judged]
        return {name: [one[name].f1 for one in found] for name in self.names}


class BertPrecision:
    """BERTScore's precision of answers against a field of the question, such as its article.

    Args:
        path: Folder or hub id of an encoder.
        layer: Whose hidden states are compared.
        field: What answers are compared with.
    """

    names = ("bert_precision",)

    def __init__(self, path: str, layer: int, field: str = "context"):
        self.scorer = BertScore(path, layer)
        self.field = field

    def score(self, answers: Sequence[Answered]) -> dict[str, list[float]]:
        """Of each answer; an empty one has 0."""
        texts = [one.question[self.field] for one in answers]
        found = self.scorer.score([one.text for one in answers], texts)
        return {self.names[0]: found.precision_N.tolist()}


class Faithful:
    """A classifier's probability that an answer is true to a field of the question.

    Args:
        classifier: Such as FactKB.
        field: What answers are compared with.
    """

    names = ("factuality",)

    def __init__(self, classifier: Classifier, field: str = "context"):
        self.classifier = classifier
        self.field = field

    def score(self, answers: Sequence[Answered]) -> dict[str, list[float]]:
        """Of each answer; an empty one has 0."""
        texts = [one.question[self.field] for one in answers]
        found = factuality(self.classifier, texts, [one.text for one in answers])
        return {self.names[0]: list(found.scores)}
