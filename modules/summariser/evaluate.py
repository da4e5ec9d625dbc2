"""What of a summary is measured: stance kept, words taken from the article.

A measure is one of `modules.decoding.evaluate`: it gives one value a summary. The question of an
`Answered` holds the article's `id`, `article`, `stance` and `asked` (names, empty if unknown), its
text is the summary.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from modules.causal_lm.tokens.padding import padded
from modules.classifier.labelled import read_labelled
from modules.classifier.network import Pretrained
from modules.decoding.evaluate import Answered
from modules.metrics.misread import Labelled
from modules.summariser.marks import Marks
from modules.summariser.steering.guide import tokenizer_beside, trained_classifier

WORD = re.compile(r"\w+|[^\w\s]")
"""Words and single punctuation marks."""
REMEMBERED = 4096
"""Texts whose reading is kept; once there are more, all are forgotten."""


@dataclass(frozen=True)
class Extractive:
    """How much of a summary is copied from its article (Grusky et al., 2018, eq. 1 and 2).

    Attributes:
        lower: Whether upper and lower case are the same.
    """

    lower: bool = True
    names = ("coverage", "density")

    def score(self, answers: Sequence[Answered]) -> dict[str, list[float]]:
        """Coverage and density of each summary; 0 for an empty one."""
        found = [self.of(one.question["article"], one.text) for one in answers]
        return {"coverage": [c for c, _ in found], "density": [d for _, d in found]}

    def of(self, article: str, summary: str) -> tuple[float, float]:
        """Share of the words in copied fragments, and mean length of a word's fragment."""
        a, s = self.words(article), self.words(summary)
        sizes = [len(one) for one in fragments(a, s)]
        num = max(1, len(s))
        return sum(sizes) / num, sum(size**2 for size in sizes) / num

    def words(self, text: str) -> list[str]:
        """Words of a text."""
        return WORD.findall(text.lower() if self.lower else text)


def fragments(article: Sequence[str], summary: Sequence[str]) -> list[list[str]]:
    """The longest shared runs of words, greedily from the summary's start (Grusky, fig. 3)."""
    places = dict[str, list[int]]()
    for n, word in enumerate(article):
        places.setdefault(word, []).append(n)
    found, at = list[list[str]](), 0
    while at < len(summary):
        lengths = [shared(article[n:], summary[at:]) for n in places.get(summary[at], [])]
        best = max(lengths, default=0)
        if best:
            found.append(list(summary[at : at + best]))
        at += max(1, best)
    return found


def shared(a: Sequence[str], b: Sequence[str]) -> int:
    """Length of the common beginning."""
    apart = (n for n, (x, y) in enumerate(zip(a, b, strict=False)) if x != y)
    return next(apart, min(len(a), len(b)))


@dataclass(frozen=True)
class Length:
    """How far a summary's length is from its reference's, in words and punctuation marks.

    Attributes:
        words: Regular expression of a word.
    """

    words: str = WORD.pattern
    names = ("length_error", "length_empty")

    def score(self, answers: Sequence[Answered]) -> dict[str, list[float]]:
        """Distance to the nearest reference, if there is any; and whether a summary is empty."""
        num = [self.count(one.text) for one in answers]
        wanted = [[self.count(text) for text in one.references] for one in answers]
        both = list(zip(num, wanted, strict=True))
        far = [float(min(abs(n - one) for one in some)) for n, some in both if some]
        return {"length_error": far, "length_empty": [float(n == 0) for n in num]}

    def count(self, text: str) -> int:
        """Words of a text."""
        return len(re.findall(self.words, text))


@runtime_checkable
class StanceReader(Protocol):
    """A measure that reads the stance of any text, such as a classifier or an exact reader.

    Attributes:
        name: What it is called in records, tables and pictures.
        classes: Names of the stances, by index.
    """

    name: str
    classes: list[str]

    def read(self, texts: Sequence[str]) -> list[int]:
        """Index of the stance of each text; -1 where it has none, or several."""
        ...

    def named(self, texts: Sequence[str]) -> list[dict[str, float]]:
        """Share of each stance in each text, such as its probability, by name."""
        ...


class StanceKept:
    """Whether a classifier reads the wanted stance in a summary (P^3Sum, sec. 4: Suc and Dist).

    Stances are -1, 0, 1 in the order of the classes. The wanted one is that which was asked for or
    the article's own; where neither is known, that which the classifier reads in the article.

    A judge misreads. With what it read in labelled texts, which a `test` of the classifier writes,
    a test of summaries gives its figure corrected for that (`findings.judging.JudgedSummaries`).
    The texts should be like the summaries, but none of those that the judge was trained on.

    Args:
        source: Folder or hub id of a Hugging Face classifier with its tokenizer.
        name: What it is called in the names of quantities: `guide`, or `judge` for an independent
            one.
        classes: Names of the stances, by index.
        labels: Class of each of its outputs, where their names do not say it.
        max_length: Tokens of a text, at most; fewer where the classifier reads fewer.
        batch_size: Texts that are read together.
        labelled: The table `scores.parquet` of a test of this classifier.
        domain: Domain of the texts of that table that count, such as `summaries`; all where None.
    """

    def __init__(
        self,
        source: str,
        name: str = "judge",
        classes: list[str] = ["left", "center", "right"],  # noqa: B006 - never changed
        labels: dict[str, str] | None = None,
        max_length: int = 512,
        batch_size: int = 64,
        labelled: str | None = None,
        domain: str | None = None,
    ):
        self.source, self.name, self.classes, self.labels = source, name, list(classes), labels
        self.max_length, self.batch_size = max_length, batch_size
        self.labelled, self.domain = labelled, domain
        self.in_labelled: Labelled | None = None
        self._opened: tuple[Any, Pretrained] | None = None
        self._known = dict[str, Tensor]()

    @property
    def names(self) -> list[str]:
        """Suc, Dist in units and over its largest value (the paper uses both)."""
        return [f"{self.name}_{one}" for one in ("kept", "distance", "distance_share")]

    def score(self, answers: Sequence[Answered]) -> dict[str, list[float]]:
        """The quantities of each summary."""
        wanted = wanted_of(self, answers)
        read_N = self.read([one.text for one in answers])
        far = [abs(a - b) for a, b in zip(wanted, read_N, strict=True)]
        kept, distance, share = self.names
        return {
            kept: [float(one == 0) for one in far],
            distance: [float(one) for one in far],
            share: [one / (len(self.classes) - 1) for one in far],
        }

    def read(self, texts: Sequence[str]) -> list[int]:
        """Index of the most likely stance of each text."""
        found: list[int] = self.probabilities(texts).argmax(-1).tolist()
        return found

    def named(self, texts: Sequence[str]) -> list[dict[str, float]]:
        """Probability of each stance of each text, by name."""
        rows = self.probabilities(texts).tolist()
        return [
            {name: round(p, 4) for name, p in zip(self.classes, row, strict=True)} for row in rows
        ]

    def probabilities(self, texts: Sequence[str]) -> Tensor:
        """Probabilities of the stances, [N, K], of the beginning of each text.

        Texts that were read before are not read again: a summary is asked for by several measures,
        an article by each of its requests.
        """
        if len(self._known) > REMEMBERED:
            self._known.clear()
        new = [text for text in dict.fromkeys(texts) if text not in self._known]
        self._known |= dict(zip(new, self.computed(new), strict=True))
        found = [self._known[text] for text in texts]
        return torch.stack(found) if found else torch.zeros(0, len(self.classes))

    @torch.inference_mode()
    @torch.autocast("cpu", enabled=False)  # the same whatever the precision of a run
    def computed(self, texts: Sequence[str]) -> Tensor:
        """The same, by the classifier."""
        tokenizer, network = self.opened()
        longest = min(self.max_length, network.context or self.max_length)
        found = [torch.zeros(0, len(self.classes))]
        for first in range(0, len(texts), self.batch_size):
            part = list(texts[first : first + self.batch_size])
            marks = Marks.of(tokenizer)
            ids = tokenizer(part, add_special_tokens=False)["input_ids"]
            rows = [[marks.start, *one[: longest - 2], marks.end] for one in ids]
            token, mask = padded(rows, left=False, pad=marks.pad)
            found.append(network(token, mask.bool()).float().softmax(-1))
        return torch.cat(found)

    def load(self) -> None:
        """Load all that is read with."""
        self.opened()

    def opened(self) -> tuple[Any, Pretrained]:
        """Tokenizer and classifier, loaded when first needed, as is what it read in labelled texts.

        Raises:
            FileNotFoundError: The local folder or the table does not exist.
            ValueError: There is no tokenizer beside the weights, or its classes are others, as may
                be those of the table.
        """
        if self._opened is None:
            if self.labelled is not None:
                table = Path(self.labelled), self.classes, self.domain
                self.in_labelled = read_labelled(*table)
            tokenizer = tokenizer_beside(self.source)
            network = trained_classifier(self.source, tokenizer, self.classes, self.labels)
            self._opened = tokenizer, network
        return self._opened


def wanted_of(reader: StanceReader, answers: Sequence[Answered]) -> list[int]:
    """Index of the wanted stance of each summary; where none is known, that of its article."""
    names = [one.question.get("asked") or one.question.get("stance", "") for one in answers]
    unknown = [n for n, name in enumerate(names) if name not in reader.classes]
    texts = [answers[n].question["article"] for n in unknown]
    read = dict(zip(unknown, reader.read(texts), strict=True))
    return [read[n] if n in read else reader.classes.index(names[n]) for n in range(len(names))]
