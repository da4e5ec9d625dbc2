"""Metrics of answers in a test: short answers, overlap, faithfulness."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

from modules.metrics.text.answer_match import RULES
from modules.metrics.text.bert_score import BertScore
from modules.metrics.text.factuality import FactualityScorer, factuality
from modules.metrics.text.rouge import USUAL, Kind, rouge
from modules.prompting.question import Question

Rule = Literal["exact", "first_line", "begins", "contains"]


@dataclass(frozen=True)
class Answered:
    """An answer and its references.

    Attributes:
        question: What was asked.
        text: The answer.
        references: Acceptable answers; may be empty.
    """

    question: Question
    text: str
    references: list[str]


class Measure(Protocol):
    """Scores answers."""

    @property
    def names(self) -> Sequence[str]:
        """Names of its quantities."""

    def score(self, answers: Any) -> dict[str, list[float]]:
        """One value per answer that can be scored, by name; higher is better.

        The answers are a sequence of `Answered`. Parameters must match exactly where a config names
        a class for a protocol: a class of the data, which imports no model, can only match Any.
        """


@runtime_checkable
class Loads(Protocol):
    """A measure, or what one is made of, that computes with a model."""

    def load(self) -> None:
        """Load it, so that a fault shows before anything else is computed."""


def load_all(measures: Sequence[Measure]) -> None:
    """Load the models of measures: whoever tests with measures does so before the first answer."""
    for one in measures:
        if isinstance(one, Loads):
            one.load()


@dataclass(frozen=True)
class ShortAnswer:
    """Whether an answer is one of the references.

    Attributes:
        rule: What counts as a match (`modules.metrics.text.answer_match`).
    """

    rule: Rule = "first_line"

    @property
    def names(self) -> list[str]:
        """Name of the rule."""
        return [f"match_{self.rule}"]

    def score(self, answers: Sequence[Answered]) -> dict[str, list[float]]:
        """1 for a match, else 0; answers without references are skipped."""
        is_same: Callable[[str, Sequence[str]], bool] = RULES[self.rule]
        scored = [one for one in answers if one.references]
        return {self.names[0]: [float(is_same(one.text, one.references)) for one in scored]}


@dataclass(frozen=True)
class Rouge:
    """ROUGE as F1 (Lin, 2004; `modules.metrics.text.rouge.rouge`).

    Attributes:
        kinds: Among rouge_1, rouge_2, rouge_l, and rouge_lsum for summaries of several lines.
        stemmer: Whether words are cut to their stems.
        words: Regular expression of a word, for other scripts than Latin.
    """

    kinds: list[Kind] = field(default_factory=lambda: list(USUAL))
    stemmer: bool = False
    words: str | None = None

    @property
    def names(self) -> list[str]:
        """Names of the kinds."""
        return list(self.kinds)

    def score(self, answers: Sequence[Answered]) -> dict[str, list[float]]:
        """F1 of each answer; those without references are skipped."""
        scored = [one for one in answers if one.references]
        how = self.kinds, self.stemmer, self.words
        found = [rouge(one.text, one.references, *how) for one in scored]
        return {name: [one[name].f1 for one in found] for name in self.names}


class BertPrecision:
    """BERTScore's precision of answers against a field of the question, such as its article.

    Args:
        path: Folder or hub id of an encoder.
        layer: The layer whose hidden states are compared.
        field: The field that answers are compared with.
    """

    names = ("bert_precision", "bert_precision_empty", "bert_precision_cut")

    def __init__(self, path: str, layer: int, field: str = "article"):
        self.scorer = BertScore(path, layer)
        self.field = field

    def load(self) -> None:
        """Load the encoder and its tokenizer."""
        self.scorer.model, self.scorer.tokenizer  # noqa: B018 - loaded here

    def score(self, answers: Sequence[Answered]) -> dict[str, list[float]]:
        """Of each answer, 0 if empty; which are empty; and truncated texts per pair, on average."""
        texts = [one.question[self.field] for one in answers]
        found = self.scorer.score([one.text for one in answers], texts)
        cut = [found.num_cut / len(answers)] * len(answers)
        return dict(
            zip(self.names, (found.precision_N.tolist(), are_empty(answers), cut), strict=True)
        )


class Faithful:
    """Faithfulness of answers to a field of the question, by a scorer.

    Args:
        scorer: Such as the classifier FactKB.
        field: The field that answers are compared with.
    """

    names = ("factuality", "factuality_empty")

    def __init__(self, scorer: FactualityScorer, field: str = "article"):
        self.scorer = scorer
        self.field = field

    def load(self) -> None:
        """Load what the scorer computes with, if it is known how."""
        if isinstance(self.scorer, Loads):
            self.scorer.load()

    def score(self, answers: Sequence[Answered]) -> dict[str, list[float]]:
        """Of each answer, 0 if empty; and which are empty."""
        texts = [one.question[self.field] for one in answers]
        found = factuality(self.scorer, texts, [one.text for one in answers])
        return dict(zip(self.names, (list(found.scores), are_empty(answers)), strict=True))


def are_empty(answers: Sequence[Answered]) -> list[float]:
    """1 for each answer without a word, 0 for others."""
    return [float(not one.text.strip()) for one in answers]
