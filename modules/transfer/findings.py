"""All results from the scores of several classifiers on the texts of one test."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from modules.metrics.bootstrap import NUM_RESAMPLES, Quantity, Resamples, interval
from modules.metrics.classification import accuracy, auroc, true_positive_rate
from modules.transfer.ensemble import average
from modules.transfer.matrix import Matrix, acc_gap, measured
from modules.transfer.scores import PLAIN, ScoreTable, aligned
from modules.transfer.summary import (
    AVERAGE,
    POOLED,
    WITHOUT,
    by_size,
    left_out,
    left_out_minus,
    left_out_names,
    minus_own,
    own,
)
from modules.transfer.under_attack import Attacked, lost, under_attack

RATES = (accuracy, auroc, true_positive_rate)
"""Quantities of every matrix, in the order of the first fields of `Findings`."""
Seeds = Mapping[str, Attacked]
"""Scores of one row of the matrix, by seed and attack."""


@dataclass(frozen=True)
class Findings:
    """The matrices of several training sets on several test sets.

    Attributes:
        accuracy: Of every row on every generator, averaged probabilities among the rows.
        auroc: The same.
        caught: True-positive rate at a false-positive rate of at most 1 %.
        gap: Accuracy lost against the row trained on the generator itself; None without such rows.
        lost: Accuracy lost under each attack, over all generators; None without attacks.
        num_human: Human texts of each generator's test.
        num_seeds: Seeds of each row.
        left_out: Seeds that not every row has; they are not in the matrices.
    """

    accuracy: Matrix
    auroc: Matrix
    caught: Matrix
    gap: Matrix | None
    lost: Matrix | None
    num_human: dict[str, int]
    num_seeds: dict[str, int]
    left_out: list[str]

    def quantities(self, size: Mapping[str, float]) -> dict[str, Quantity]:
        """Summary quantities of the matrices, as far as their rows exist.

        Args:
            size: Parameters of each generator, in any unit; some may be missing.
        """
        found: dict[str, Quantity] = {}
        rows = self.accuracy.trained_on
        for name in (POOLED, AVERAGE):
            if self.gap is not None and name in rows:
                found[f"{name} minus own"] = minus_own(self.accuracy, name)
        if left_out_names(self.accuracy):
            found["pooled, on a generator left out"] = left_out(self.accuracy)
            for rival, lead in left_out_minus(self.accuracy).items():
                found[f"pooled minus {rival}, on a generator left out"] = lead
        if self.gap is not None and len({size[g] for g in self.gap.tested_on if g in size}) > 1:
            found |= {f"gap from {way}": gap for way, gap in by_size(self.gap, size).items()}
        return found

    def words(self, size: Mapping[str, float]) -> Iterator[str]:
        """The summary as lines of text."""
        humans = sorted(set(self.num_human.values()))
        yield f"human texts of a generator's test: {' to '.join(map(str, humans))}"
        if self.left_out:
            yield f"seeds left out, as not every row has them: {', '.join(self.left_out)}"
        for what, quantity in self.quantities(size).items():
            yield f"{what}: {interval(quantity).points()} points"


def findings(rows: Mapping[str, Seeds], num_resamples: int = NUM_RESAMPLES) -> Findings:
    """Matrices and summaries of the scores of several rows on the same texts.

    Args:
        rows: Scores by row name; each has one evaluation per seed.
        num_resamples: Of the bootstrap over human texts.

    Raises:
        ValueError: Two were tested on different texts, met different attacks or share no seed.
    """
    rows, left = with_the_same_seeds(rows)
    plain = with_averages(plainly(rows))
    every = {name: list(seeds.values()) for name, seeds in plain.items()}
    texts = next(iter(every.values()))[0]
    weights = Resamples(texts.pair_id, num_resamples)
    columns = in_order(texts.generators, every)
    rates = [measured(every, rate, weights, columns) for rate in RATES]
    return Findings(
        accuracy=rates[0],
        auroc=rates[1],
        caught=rates[2],
        gap=acc_gap(rates[0]) if own(rates[0]) else None,
        lost=lost_under_attack(rows, weights),
        num_human={g: int((texts.label[texts.pairs_of(g)] == 0).sum()) for g in columns},
        num_seeds={name: len(seeds) for name, seeds in every.items()},
        left_out=left,
    )


def with_the_same_seeds(rows: Mapping[str, Seeds]) -> tuple[dict[str, Seeds], list[str]]:
    """Scores of the seeds that all rows have, and the other seeds.

    Otherwise differences of means over seeds would compare different seeds.
    """
    every = {seed for seeds in rows.values() for seed in seeds}
    shared = {seed for seed in every if all(seed in seeds for seeds in rows.values())}
    if rows and not shared:
        raise ValueError(f"no seed is common to all rows: {', '.join(rows)}")
    kept: dict[str, Seeds] = {
        name: {seed: one for seed, one in seeds.items() if seed in shared}
        for name, seeds in rows.items()
    }
    return kept, sorted(every - shared)


def in_order(generators: Sequence[str], rows: Iterable[str]) -> list[str]:
    """Generators in the order of the rows named after them, then the others."""
    first = [name for name in rows if name in generators]
    return [*first, *(name for name in generators if name not in first)]


def lost_under_attack(rows: Mapping[str, Seeds], weights: Resamples) -> Matrix | None:
    """Accuracy lost under attacks, of the rows that have any; None if none has.

    Attacks of a table are not among them: their texts have no counterpart of the same id.
    """
    attacked = {
        name: [one for one in map(with_counterparts, seeds.values()) if len(one) > 1]
        for name, seeds in rows.items()
    }
    met = {name: seeds for name, seeds in attacked.items() if seeds}
    return lost(under_attack(met, accuracy, weights)) if met else None


def with_counterparts(one: Attacked) -> Attacked:
    """The plain texts, and the attacks whose texts all have a plain counterpart."""
    plain = one[PLAIN].id
    return {name: scores for name, scores in one.items() if np.isin(scores.id, plain).all()}


def plainly(rows: Mapping[str, Seeds]) -> dict[str, dict[str, ScoreTable]]:
    """Scores of the plain texts, by row and seed, all in the same order."""
    flat = {(name, seed): one[PLAIN] for name, seeds in rows.items() for seed, one in seeds.items()}
    same = aligned({" ".join(key): one for key, one in flat.items()})
    return {name: {seed: same[f"{name} {seed}"] for seed in seeds} for name, seeds in rows.items()}


def with_averages(
    plain: Mapping[str, Mapping[str, ScoreTable]],
) -> dict[str, Mapping[str, ScoreTable]]:
    """The rows and the ensembles of the single generators: of all, and without each."""
    found = dict(plain)
    texts = next(iter(next(iter(plain.values())).values()))
    singles = [name for name in texts.generators if name in plain]
    if len(singles) < 3:
        return found
    found[AVERAGE] = joined(plain, singles)
    for left in singles:
        found[AVERAGE + WITHOUT + left] = joined(plain, [s for s in singles if s != left])
    return {name: seeds for name, seeds in found.items() if seeds}


def joined(
    plain: Mapping[str, Mapping[str, ScoreTable]], names: list[str]
) -> dict[str, ScoreTable]:
    """The ensemble of some rows, for each seed that all of them have."""
    seeds = [s for s in plain[names[0]] if all(s in plain[name] for name in names)]
    return {seed: average([plain[name][seed] for name in names]) for seed in seeds}
