"""How often a wanted class was met, by a classifier that misreads (Rogan and Gladen, 1978).

A judge that reads class r in a text of class k with probability C_kr turns the true shares T_wk of
texts of which w was wanted and that are k into read shares J = T C. Labelled texts give C, so
T = J inv(C): its diagonal is the share in which the wanted class is met.

This holds where the judge errs on judged texts as on labelled ones of the same class: they should
be of the same kind and domain, and must neither be made to please this judge nor be steered to
words that it does not know. A text of no class, or of several, has no place in C. On synthetic
news, whose stance an exact reader knows, the intervals hold the true share of summaries written
with the news; of a steered summariser's they miss it (docs/results/p3sum.md).

Of T only such sums are used, cut to their range. Shares that are likeliest among all that are
shares (by EM: Saerens et al., 2002) are biased near 1, since errors of one sign are cut in every
row: simulated at 500 texts, a judge of accuracy 0.62 and a true share of 0.95, by -0.036, against
-0.005 of the sum.

Intervals draw both samples anew (the cluster bootstrap, as in `bootstrap`), the judged texts for
all readers at once, so that differences are paired. They are those of the inverse, cut at the end:
the bootstrap of a quantity that is cut to its range fails at the ends (Andrews, 2000).

Shape legend: N = texts, R = 1 + resamples, W = wanted, K = true and read classes.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modules.metrics.bootstrap import NUM_RESAMPLES, Interval, interval
from modules.metrics.classification import divide

Counts = NDArray[np.float64]
"""Texts by two classes, on all texts and on each resample, [R, K, K]."""
SURE = 0.99
"""Level at which the determinant of C must lie above 0 for a corrected figure."""
SMALLEST = 1e-10
"""Determinant up to which there is no inverse."""


@dataclass(frozen=True)
class Labelled:
    """What a judge reads in labelled texts.

    Attributes:
        label_N: Index of the class of each text.
        read_N: Index of the class that is read in it.
        group_N: Name of what is drawn together, such as the event that texts are about.
    """

    label_N: NDArray[np.int64]
    read_N: NDArray[np.int64]
    group_N: NDArray[Any]

    def counts(self, num_classes: int, num: int = NUM_RESAMPLES) -> Counts:
        """Texts by their class and by what is read in them."""
        cell_N = self.label_N * num_classes + self.read_N
        found = resampled(cell_N, self.group_N, num_classes**2, num, seed=1)
        return found.reshape(-1, num_classes, num_classes)


@dataclass(frozen=True)
class Judged:
    """What a judge reads in texts of which a class was wanted.

    Attributes:
        wanted_N: Index of that class.
        read_N: Index of the class that is read.
        group_N: Name of what is drawn together, such as the article that texts are about.
        is_met_N: Whether another reader, such as the guide, reads the wanted class.
    """

    wanted_N: NDArray[np.int64]
    read_N: NDArray[np.int64]
    group_N: NDArray[Any]
    is_met_N: NDArray[np.bool_]

    def counts(self, num_classes: int, num: int = NUM_RESAMPLES) -> NDArray[np.float64]:
        """Texts by wanted and read class, and by whether the other met it, [R, W, K, 2]."""
        cell_N = (self.wanted_N * num_classes + self.read_N) * 2 + self.is_met_N
        found = resampled(cell_N, self.group_N, 2 * num_classes**2, num)
        return found.reshape(-1, num_classes, num_classes, 2)


@dataclass(frozen=True)
class Met:
    """How often a wanted class was met.

    Attributes:
        share: Share of texts that met it; of 1.
        distance: Units between wanted and met class, on average.
    """

    share: Interval
    distance: Interval


@dataclass(frozen=True)
class Verdict:
    """What a judge's readings come to.

    Attributes:
        accuracy: Of the judge, on labelled texts.
        read: How often the wanted class is read.
        met: How often it was met, corrected; None where the judge errs too much to tell.
        excess: Share in which the other reader reads it, less that of `met`.
    """

    accuracy: Interval
    read: Met
    met: Met | None
    excess: Interval | None


def resampled(
    cell_N: NDArray[np.int64],
    group_N: NDArray[Any],
    num_cells: int,
    num: int = NUM_RESAMPLES,
    seed: int = 0,
) -> NDArray[np.float64]:
    """Texts in each cell, on all texts and in resamples of as many groups as there are.

    Groups that hold the same cells are drawn together as one sort: the same distribution as of
    groups one by one, at the cost of the sorts alone.

    Args:
        cell_N: Cell of each text.
        group_N: Name of the group of each.
        num_cells: Number of cells.
        num: Number of resamples.
        seed: Of the draws.

    Returns:
        [1 + num, num_cells].
    """
    names, place_N = np.unique(group_N, return_inverse=True)
    held_GC = np.zeros((len(names), num_cells))
    np.add.at(held_GC, (place_N, cell_N), 1)
    sort_SC, often_S = np.unique(held_GC, axis=0, return_counts=True)
    rng = np.random.default_rng(seed)
    drawn_RS = rng.multinomial(len(names), often_S / len(names), num)
    return np.concatenate([often_S[None], drawn_RS]) @ sort_SC


def verdict(
    judged: Judged, labelled: Labelled, num_classes: int, num: int = NUM_RESAMPLES
) -> Verdict:
    """What a judge reads, and what of it is true.

    Args:
        judged: The texts, at least one.
        labelled: What the judge reads in labelled texts.
        num_classes: K.
        num: Number of resamples.
    """
    count_RWK2 = judged.counts(num_classes, num)
    labelled_RKK = labelled.counts(num_classes, num)
    other_R = count_RWK2[..., 1].sum((1, 2)) / count_RWK2.sum((1, 2, 3))
    share_RWK = count_RWK2.sum(3) / count_RWK2.sum((1, 2, 3))[:, None, None]
    true_RWK = met_shares(share_RWK, labelled_RKK)
    accuracy = interval(accuracy_of(labelled_RKK))
    if true_RWK is None:
        return Verdict(accuracy, met(share_RWK), None, None)
    excess = interval(other_R - true_RWK.trace(axis1=1, axis2=2))
    return Verdict(accuracy, met(share_RWK), met(true_RWK), excess)


def flattery(
    guide_N: NDArray[np.bool_],
    judge_N: NDArray[np.bool_],
    group_N: NDArray[Any],
    num: int = NUM_RESAMPLES,
) -> Interval:
    """Share of texts in which a guide reads the wanted class, less that of a judge, paired.

    Args:
        guide_N: Whether the classifier that texts were steered by reads it.
        judge_N: Whether one that steered nothing does.
        group_N: Name of what is drawn together.
        num: Number of resamples.
    """
    count_RC = resampled(guide_N.astype(int) - judge_N.astype(int) + 1, group_N, 3, num)
    return interval((count_RC[:, 2] - count_RC[:, 0]) / count_RC.sum(1))


def accuracy_of(labelled_RKK: Counts) -> NDArray[np.float64]:
    """Share of labelled texts that are read as they are, [R]."""
    return divide(labelled_RKK.trace(axis1=1, axis2=2), labelled_RKK.sum((1, 2)))


def met_shares(judged_RWK: Counts, labelled_RKK: Counts) -> Counts | None:
    """T: corrected shares of texts by wanted and by true class, which may leave [0, 1].

    Args:
        judged_RWK: Judged texts by wanted class and by what is read.
        labelled_RKK: Labelled texts by their class and by what is read.

    Returns:
        Of sum 1; NaN where a resample has no inverse. None where C is too near to a judge that
        guesses, of determinant 0: the determinant's interval at the level `SURE` reaches 0, or
        labelled texts lack a class.
    """
    confusion_RKK = confusions(labelled_RKK)
    size_R = np.linalg.det(np.nan_to_num(confusion_RKK))
    if size_R[0] <= SMALLEST or np.quantile(size_R, (1 - SURE) / 2) <= 0:
        return None
    is_sound_R = size_R > SMALLEST
    inverse_RKK = np.full(confusion_RKK.shape, np.nan)
    inverse_RKK[is_sound_R] = np.linalg.inv(confusion_RKK[is_sound_R])
    share_RWK = judged_RWK / judged_RWK.sum((1, 2), keepdims=True)
    return share_RWK @ inverse_RKK


def confusions(labelled_RKK: Counts) -> Counts:
    """C: shares of what is read in texts of each class; NaN where there is none of the class."""
    num_RKK = np.broadcast_to(labelled_RKK.sum(2, keepdims=True), labelled_RKK.shape)
    return divide(labelled_RKK, num_RKK)


def met(share_RWK: Counts) -> Met:
    """How often the wanted class was met, of shares of texts by wanted and by met class."""
    num = share_RWK.shape[1]
    far_WK = np.abs(np.subtract.outer(np.arange(num), np.arange(share_RWK.shape[2])))
    distance_R = (share_RWK * far_WK).sum((1, 2))
    return Met(cut(share_RWK.trace(axis1=1, axis2=2), 1), cut(distance_R, num - 1))


def cut(quantity_R: NDArray[np.float64], most: float) -> Interval:
    """The interval of a quantity, value and ends cut to [0, most]."""
    found = interval(quantity_R)
    return Interval(*np.clip([found.value, found.low, found.high], 0, most).tolist())
