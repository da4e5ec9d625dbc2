"""What judges read in all summaries of a test: corrected for their errors, and beside guides.

A judge that is 0.65 right on labelled texts reads the wanted stance in far fewer summaries than
have it, and a guide reads it in more: each step was optimised for it. `modules/metrics/misread.py`
says what the correction assumes.
"""

import warnings
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modules.decoding.evaluate import Answered
from modules.metrics.bootstrap import Interval
from modules.metrics.image.frechet_metric import over_ranks
from modules.metrics.misread import Judged, Labelled, Verdict, flattery, verdict
from modules.summariser.evaluate import StanceKept, StanceReader, wanted_of


@dataclass(frozen=True)
class Reading:
    """What one reads in a summary.

    Attributes:
        name: Of the reader.
        article: Id of the article.
        wanted: Index of the stance that is wanted.
        read: Index of that which is read; -1 for none, or several.
    """

    name: str
    article: str
    wanted: int
    read: int


class JudgedSummaries:
    """Collects what guides and judges read in summaries.

    A judge is whoever reads stances, but no guide. It says something here if its errors are known
    (`StanceKept.labelled`), or beside a guide.

    Args:
        readers: Who reads stances.
        sources: Of the classifiers that summaries are steered by or networks learnt stances from:
            readers of these are the guides.
    """

    def __init__(self, readers: Sequence[StanceReader], sources: Collection[str]):
        known = {located(one) for one in sources}
        self.guides = [one for one in readers if located(getattr(one, "source", "")) in known]
        others = [one for one in readers if one not in self.guides]
        is_useful = [bool(self.guides) or labelled(one) is not None for one in others]
        self.judges = [one for one, use in zip(others, is_useful, strict=True) if use]
        self.readings: list[Reading] = []

    def add(self, answers: Sequence[Answered]) -> None:
        """Read some summaries."""
        names = [str(one.question["id"]) for one in answers]
        for reader in [*self.guides, *self.judges] if self.judges else []:
            read = reader.read([one.text for one in answers])
            rows = zip(names, wanted_of(reader, answers), read, strict=True)
            self.readings += [Reading(reader.name, *row) for row in rows]

    def row(self) -> dict[str, float]:
        """The quantities of the summaries of all ranks, each with the ends of its interval.

        Of a judge whose errors are known: `<judge>_accuracy` on labelled texts, its share
        `<judge>_kept` with ends, `<judge>_corrected` (Suc) and `<judge>_distance_corrected` (Dist).
        Of each guide: `<guide>_minus_<judge>`, flattery, and `<guide>_minus_<judge>_corrected`.
        """
        known = sorted(over_ranks(self.readings), key=lambda one: one.article)
        columns = {
            reader.name: Columns.of([one for one in known if one.name == reader.name])
            for reader in [*self.guides, *self.judges]
        }
        row = dict[str, float]()
        for judge in self.judges if known else []:
            row |= self.of_judge(judge, columns)
        return row

    def of_judge(self, judge: StanceReader, columns: dict[str, "Columns"]) -> dict[str, float]:
        """The quantities of a judge."""
        own, row = columns[judge.name], dict[str, float]()
        if (known := labelled(judge)) is not None:
            found = verdict(own.judged(own.is_met), known, len(judge.classes))
            row |= corrected(judge.name, found)
        for guide in self.guides:
            name, is_met_N = f"{guide.name}_minus_{judge.name}", columns[guide.name].is_met
            row |= ends(name, flattery(is_met_N, own.is_met, own.article_N))
            if known is not None:
                excess = verdict(own.judged(is_met_N), known, len(judge.classes)).excess
                row |= ends(f"{name}_corrected", excess)
        return row


@dataclass(frozen=True)
class Columns:
    """What one reader reads in all summaries, in the order of the articles.

    Attributes:
        article_N: Id of each article.
        wanted_N, read_N: As of `Reading`.
    """

    article_N: NDArray[Any]
    wanted_N: NDArray[np.int64]
    read_N: NDArray[np.int64]

    @classmethod
    def of(cls, readings: Sequence[Reading]) -> "Columns":
        """From readings of one reader."""
        articles = np.asarray([one.article for one in readings])
        wanted = np.asarray([one.wanted for one in readings], np.int64)
        return cls(articles, wanted, np.asarray([one.read for one in readings], np.int64))

    @property
    def is_met(self) -> NDArray[np.bool_]:
        """Whether it reads the wanted stance."""
        return self.wanted_N == self.read_N

    def judged(self, is_met_N: NDArray[np.bool_]) -> Judged:
        """Beside what another meets."""
        return Judged(self.wanted_N, self.read_N, self.article_N, is_met_N)


def located(source: str) -> str:
    """A folder by its whole path, however it is spelt; a hub id as it is."""
    return str(Path(source).resolve()) if source and Path(source).exists() else source


def labelled(reader: StanceReader) -> Labelled | None:
    """What a reader read in labelled texts; None where it is not known."""
    if not isinstance(reader, StanceKept):
        return None
    reader.opened()
    return reader.in_labelled


def corrected(name: str, found: Verdict) -> dict[str, float]:
    """The quantities of a judge's verdict; it warns where nothing can be said."""
    read = found.read.share
    row = {f"{name}_accuracy": found.accuracy.value}
    row |= {f"{name}_kept_low": read.low, f"{name}_kept_high": read.high}
    if found.met is None:
        warnings.warn(
            f"{name} has no corrected figure: with an accuracy of {found.accuracy} on labelled "
            "texts its errors hide which stance is which",
            stacklevel=2,
        )
        return row
    row |= ends(f"{name}_corrected", found.met.share)
    return row | ends(f"{name}_distance_corrected", found.met.distance)


def ends(name: str, found: Interval | None) -> dict[str, float]:
    """A quantity with its ends; nothing where it is not known."""
    if found is None:
        return {}
    return {name: found.value, f"{name}_low": found.low, f"{name}_high": found.high}
