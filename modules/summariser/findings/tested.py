"""Every summary of a test: its texts, what readers of stances read, what measures say."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from modules.decoding.evaluate import Answered, Measure
from modules.metrics.image.frechet_metric import over_ranks, rank
from modules.summariser.evaluate import StanceReader

Row = dict[str, Any]
NONE = "none"
"""What a reader says of a text without a stance, or of several."""
DIGITS = 6
"""Of a quantity, after the decimal point."""


@dataclass
class SummaryRows:
    """Collects the summaries of an evaluation.

    Attributes:
        measures: What is computed of them; those that read stances are asked for readings as well.
        rows: A row a summary, and its place in the order of the data.
        num_batches: Batches so far.
    """

    measures: Sequence[Measure]
    rows: list[tuple[tuple[int, ...], Row]] = field(default_factory=list)
    num_batches: int = 0

    @property
    def readers(self) -> list[StanceReader]:
        """The measures that read stances."""
        return [one for one in self.measures if isinstance(one, StanceReader)]

    def add(self, answers: Sequence[Answered], scores: Sequence[Mapping[str, list[float]]]) -> None:
        """Add a batch.

        Args:
            answers: Its summaries; their questions are those of `modules.summariser.evaluate`.
            scores: What each measure says of them.
        """
        self.num_batches += 1
        rows = [facts(one) for one in answers]
        for reader in self.readers:
            for row, found in zip(rows, readings(reader, answers), strict=True):
                row |= {f"{reader.name}_{name}": stance for name, stance in found.items()}
        for measure, values in zip(self.measures, scores, strict=True):
            for row, quantities in zip(rows, each(measure, answers, values), strict=True):
                row |= quantities
        keys = ((self.num_batches, rank(), n) for n in range(len(rows)))
        self.rows += zip(keys, rows, strict=True)

    def gathered(self) -> list[Row]:
        """The rows of all ranks, in the order of the data; every rank calls."""
        return [row for _, row in sorted(over_ranks(self.rows), key=lambda one: one[0])]


def facts(answer: Answered) -> Row:
    """What is known of a summary without reading it."""
    known = {name: answer.question[name] for name in ("id", "stance", "asked")}
    reference = answer.references[0] if answer.references else ""
    return known | {"summary": answer.text, "reference": reference}


def readings(reader: StanceReader, answers: Sequence[Answered]) -> list[dict[str, str]]:
    """What a reader reads in each article, summary and reference; "" without a reference.

    Only articles of unknown stance are read; the others keep the stance that is given.
    """
    given = [one.question["stance"] for one in answers]
    unknown = [n for n, stance in enumerate(given) if stance not in reader.classes]
    read = stance_names(reader, [answers[n].question["article"] for n in unknown])
    articles = dict(zip(unknown, read, strict=True))
    summaries = stance_names(reader, [one.text for one in answers])
    known = [n for n, one in enumerate(answers) if one.references]
    read = stance_names(reader, [answers[n].references[0] for n in known])
    golds = dict(zip(known, read, strict=True))
    return [
        {"article": articles.get(n, given[n]), "summary": summary, "reference": golds.get(n, "")}
        for n, summary in enumerate(summaries)
    ]


def stance_names(reader: StanceReader, texts: Sequence[str]) -> list[str]:
    """Names of the stances of texts."""
    return [NONE if one < 0 else reader.classes[one] for one in reader.read(texts)]


def each(
    measure: Measure, answers: Sequence[Answered], found: Mapping[str, list[float]]
) -> list[dict[str, float]]:
    """The quantities of each summary; a measure that leaves some out is asked one by one."""
    alone: list[Mapping[str, list[float]]]
    if all(len(values) == len(answers) for values in found.values()):
        alone = [{k: [v[n]] for k, v in found.items()} for n in range(len(answers))]
    else:
        alone = [measure.score([one]) for one in answers]
    return [{k: round(float(v[0]), DIGITS) for k, v in one.items() if v} for one in alone]
