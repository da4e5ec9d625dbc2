"""Scores of every text of a test: the table `scores.parquet`.

Shape legend: N = texts.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

HUMAN = "human"
"""Generator of a human text that belongs to the pairs of every generator."""
PLAIN = "none"
"""Attack of a text that is not attacked."""
KINDS = {"id": np.int64, "label": np.int64, "p_machine": np.float64, "score": np.float64}
"""Types of the columns that are not text."""
Column = NDArray[Any]


def no_score() -> Column:
    """The score column if there is none."""
    return np.zeros(0)


@dataclass(frozen=True)
class ScoreTable:
    """One evaluation of one classifier; the columns of the file.

    Attributes:
        id: Row of the text in the data file, int64 [N]; unique.
        pair_id: The human text that it is or continues, [N].
        generator: Who wrote it; of a human text, the generator of its pair, or `HUMAN`, [N].
        domain: Its domain, [N].
        label: 1 = machine, 0 = human, int64 [N].
        p_machine: Probability that a machine wrote it, float64 [N].
        score: What the texts are ranked by, since probabilities of different texts may both be 1:
            the log-odds, float64 [N]; the probability if not given.
    """

    id: Column
    pair_id: Column
    generator: Column
    domain: Column
    label: Column
    p_machine: Column
    score: Column = field(default_factory=no_score)

    def __post_init__(self) -> None:
        """Rank by the probability if there is no score."""
        if not len(self.score):
            object.__setattr__(self, "score", self.p_machine)

    def __len__(self) -> int:
        """Number of texts."""
        return len(self.id)

    def where(self, chosen: NDArray[Any]) -> "ScoreTable":
        """Some of the texts, by a mask or by their positions."""
        return ScoreTable(**{one.name: getattr(self, one.name)[chosen] for one in fields(self)})

    def saying(
        self, p_machine_N: NDArray[np.float64], score_N: NDArray[np.float64] | None = None
    ) -> "ScoreTable":
        """The same texts with other probabilities and scores."""
        return replace(
            self, p_machine=p_machine_N, score=no_score() if score_N is None else score_N
        )

    @property
    def generators(self) -> list[str]:
        """Names of the generators of machine texts, sorted."""
        return sorted(set(self.generator[self.label == 1].tolist()))

    def pairs_of(self, generator: str) -> NDArray[np.bool_]:
        """Texts that test a generator: its own, and the human ones of its pairs, bool [N]."""
        human = (self.label == 0) & np.isin(self.generator, (generator, HUMAN))
        return human | ((self.label == 1) & (self.generator == generator))


def read(path: Path) -> dict[str, ScoreTable]:
    """Read `scores.parquet`: the scores of the plain texts (`PLAIN`) and under each attack.

    Columns are those of `ScoreTable`. `paired_generator` names the generator to whose pairs a human
    text belongs, `attack` the attack on a text. Both are optional, as is `score`. Further columns
    are ignored.

    Raises:
        FileNotFoundError: The file does not exist.
        ValueError: A column is missing, a text occurs twice, a label is neither 0 nor 1, or a
            probability or score is invalid; the message names the file.
    """
    import pyarrow.parquet as pq

    if not path.is_file():
        raise FileNotFoundError(f"no scores {path}; run `test` first")
    held = pq.read_table(path).to_pydict()
    names = [one.name for one in fields(ScoreTable) if one.name in held or one.name != "score"]
    if absent := [name for name in names if name not in held]:
        raise ValueError(f"{path} has no column {', '.join(absent)}")
    pairs = zip(held.get("paired_generator", held["generator"]), held["generator"], strict=True)
    held["generator"] = [paired or written for paired, written in pairs]
    every = ScoreTable(**{name: np.asarray(held[name], KINDS.get(name, np.str_)) for name in names})
    attack_N = np.asarray(held.get("attack", [PLAIN] * len(every)), np.str_)
    found = {str(name): every.where(attack_N == name) for name in np.unique(attack_N)}
    for attack, scores in (found or {PLAIN: every}).items():
        if fault := fault_of(scores):
            raise ValueError(f"{path}, attack {attack}: {fault}")
    return found


def fault_of(scores: ScoreTable) -> str | None:
    """What is wrong with scores; None if they are valid."""
    if not len(scores):
        return "no texts"
    unique, count = np.unique(scores.id, return_counts=True)
    if count.max() > 1:
        return f"text {unique[count.argmax()]} occurs {count.max()} times"
    if others := sorted(set(scores.label.tolist()) - {0, 1}):
        return f"label must be 0 or 1, got {others[0]}"
    bad = ~((scores.p_machine >= 0) & (scores.p_machine <= 1))
    if bad.any():
        at = int(bad.argmax())
        return f"p_machine of text {scores.id[at]} is {scores.p_machine[at]}, not within [0, 1]"
    if (bad := ~np.isfinite(scores.score)).any():
        at = int(bad.argmax())
        return f"score of text {scores.id[at]} is {scores.score[at]}, which is not finite"
    return None


def aligned(found: Mapping[str, ScoreTable]) -> dict[str, ScoreTable]:
    """The same texts in the same order for every classifier.

    Args:
        found: Scores of each classifier, by name.

    Raises:
        ValueError: There are no scores, or two were computed on different texts.
    """
    if not found:
        raise ValueError("nothing was tested")
    first, *_ = found
    ordered = {name: scores.where(np.argsort(scores.id)) for name, scores in found.items()}
    for name, scores in ordered.items():
        others = np.setxor1d(scores.id, ordered[first].id)
        if others.size:
            difference = f"{first} and {name} were tested on different texts: {others.size} of them"
            raise ValueError(f"{difference} by one only, such as text {others[0]}")
        for column in ("pair_id", "generator", "domain", "label"):
            if (getattr(scores, column) != getattr(ordered[first], column)).any():
                raise ValueError(f"{first} and {name} have different texts: their {column} differs")
    return ordered
