"""The three analyses of supportive documents beside random groups (Han et al., 2023, sec. 4).

Shape legend: N = documents of the pool, M = texts of the task, T = tokens, V = vocabulary,
D = features.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modules.icl.analysis.groups import Difference, Groups
from modules.icl.analysis.information_gain import InformationGain
from modules.metrics.text.mauve import SEEDS, Features, Mauve, mauve, mauve_of_halves
from modules.metrics.text.zipf import (
    COVERED,
    Tokens,
    long_tail_mass,
    rare_tokens,
    zipf_coefficients,
)


@dataclass(frozen=True)
class TokenFrequency:
    """How flat the frequencies of tokens are.

    Attributes:
        zipf: Average Zipf coefficient of documents; lower is flatter.
        long_tail: Share of tokens that are rare in the reference corpus.
    """

    zipf: Difference
    long_tail: Difference

    def rows(self) -> list[dict[str, Any]]:
        """Of a table."""
        return [self.zipf.row("Zipf coefficient"), self.long_tail.row("long-tail mass")]


@dataclass(frozen=True)
class LongContext:
    """Whether a long context tells more than a short one.

    Attributes:
        short: s, in tokens.
        gains: IG(l, s) in nats per token, by l.
    """

    short: int
    gains: Mapping[int, Difference]

    def rows(self) -> list[dict[str, Any]]:
        """Of a table."""
        return [one.row(f"IG({long}, {self.short})") for long, one in self.gains.items()]


@dataclass(frozen=True)
class DomainRelevance:
    """How close documents are to the texts of the task.

    Attributes:
        mauve: MAUVE of the task's texts and a group, the mean over seeds of k-means.
        supportive: That of the supportive group, by seed of k-means.
        halves: Of two halves of the task's texts: what no difference looks like.
    """

    mauve: Difference
    supportive: Mauve
    halves: Mauve

    def rows(self) -> list[dict[str, Any]]:
        """Of a table."""
        return [self.mauve.row("MAUVE with the task")]


@dataclass(frozen=True)
class Analyses:
    """All three, of one task.

    Attributes:
        frequency: Of tokens.
        context: Gain of long contexts.
        relevance: To the task.
    """

    frequency: TokenFrequency
    context: LongContext
    relevance: DomainRelevance

    def rows(self) -> list[dict[str, Any]]:
        """Of a table."""
        return [*self.frequency.rows(), *self.context.rows(), *self.relevance.rows()]


def token_frequency(
    groups: Groups,
    token_T: Tokens,
    length_N: Sequence[int],
    count_V: NDArray[Any] | None = None,
    covered: float = COVERED,
) -> TokenFrequency:
    """Compare Zipf's coefficients and the mass of rare tokens.

    Args:
        groups: The groups.
        token_T: Tokens of all documents of the pool.
        length_N: Tokens of each document.
        count_V: How often each token occurs in a reference corpus; the pool itself where None.
        covered: Share of it that tokens make up which are not rare.
    """
    count_V = np.bincount(token_T) if count_V is None else count_V
    share_N = long_tail_mass(token_T, length_N, rare_tokens(count_V, covered))
    return TokenFrequency(
        groups.difference_of_means(zipf_coefficients(token_T, length_N)),
        groups.difference_of_means(share_N, np.asarray(length_N)),
    )


def long_context(groups: Groups, gain: InformationGain) -> LongContext:
    """Compare the information gain of long contexts, a mean over tokens.

    Args:
        groups: The groups.
        gain: Of all documents of the pool.
    """
    weight_N = gain.scored_N.numpy()
    gains = {
        long: groups.difference_of_means(gain.by_sequence(long).numpy(), weight_N)
        for long in gain.longs
    }
    return LongContext(gain.short, gains)


def domain_relevance(
    groups: Groups,
    task_MD: Features,
    pool_ND: Features,
    num_clusters: int | None = None,
    seeds: tuple[int, ...] = SEEDS,
) -> DomainRelevance:
    """Compare MAUVE with the texts of a task.

    Args:
        groups: The groups.
        task_MD: Features of the task's texts.
        pool_ND: Features of all documents of the pool, by the same model.
        num_clusters: As of `mauve`.
        seeds: Of k-means.
    """
    found = mauve(task_MD, pool_ND[groups.supportive_K], num_clusters, seeds)
    random = [mauve(task_MD, pool_ND[one], num_clusters, seeds).mean for one in groups.random_SK]
    halves = mauve_of_halves(task_MD, num_clusters, seeds)
    return DomainRelevance(Difference(found.mean, tuple(random)), found, halves)
