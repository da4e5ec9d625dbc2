"""MAUVE (Pillutla et al., 2021): how close two sets of texts are, from features of the texts.

With P and Q the histograms of the two sets over clusters of their union, and mixtures of both
R_w = w P + (1 - w) Q, 0 < w < 1, the divergence curve is

    C(P, Q) = { (exp(-c KL(Q | R_w)), exp(-c KL(P | R_w))) }

from (1, 0) to (0, 1), and MAUVE the area under it: 1 for equal histograms, 0 for disjoint ones.

Shape legend: N = texts of one set, M = texts of the other, D = features, K = clusters,
W = mixture weights, S = seeds.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SEEDS = (0, 1, 2, 3, 4)
"""Of k-means."""
EXPLAINED = 0.9
"""Share of the variance that is kept before clustering."""
NUM_WEIGHTS = 25
"""Points of the curve."""
SCALE = 5.0
"""c: how fast a point of the curve falls with its divergence."""
TEXTS_PER_CLUSTER = 10
"""In the smaller set, where the number of clusters is not given."""
MARGIN = 1e-6
"""Distance of the first weight from 0 and of the last from 1, which are not in the interval."""

Features = NDArray[np.floating]
"""Features of texts, [N, D]."""
Histogram = NDArray[np.float64]
"""Shares of a set, [..., K]."""


@dataclass(frozen=True)
class Mauve:
    """MAUVE of two sets by seed of k-means.

    Attributes:
        values: Of each seed.
        num_clusters: K.
    """

    values: tuple[float, ...]
    num_clusters: int

    @property
    def mean(self) -> float:
        """Over seeds."""
        return float(np.mean(self.values))


def mauve(
    feature_ND: Features,
    feature_MD: Features,
    num_clusters: int | None = None,
    seeds: tuple[int, ...] = SEEDS,
    explained: float = EXPLAINED,
    num_weights: int = NUM_WEIGHTS,
    scale: float = SCALE,
) -> Mauve:
    """MAUVE of two sets of texts, on scikit-learn.

    Rows are brought to unit length and reduced by PCA, both sets together. Values depend on the
    number of texts and of clusters: compare only those of like sizes, beside `mauve_of_halves`.

    Args:
        feature_ND: Features of one set, such as the last hidden state of a language model.
        feature_MD: Features of the other.
        num_clusters: K; a tenth of the smaller set and at least 2 where None.
        seeds: Of k-means.
        explained: Share of the variance that PCA keeps.
        num_weights: Mixture weights.
        scale: c.

    Raises:
        ValueError: A set is smaller than K or has features that are not finite.
    """
    fewest = min(len(feature_ND), len(feature_MD))
    num_clusters = num_clusters or max(2, round(fewest / TEXTS_PER_CLUSTER))
    if fewest < num_clusters:
        raise ValueError(f"{num_clusters} clusters need as many texts a set, got {fewest}")
    both = reduced(np.concatenate([feature_ND, feature_MD]), explained)
    values = []
    for seed in seeds:
        p, q = histograms(both, len(feature_ND), num_clusters, seed)
        values.append(area(divergence_curve(p, q, num_weights, scale)))
    return Mauve(tuple(values), num_clusters)


def mauve_of_halves(
    feature_ND: Features,
    num_clusters: int | None = None,
    seeds: tuple[int, ...] = SEEDS,
    explained: float = EXPLAINED,
    num_weights: int = NUM_WEIGHTS,
    scale: float = SCALE,
) -> Mauve:
    """MAUVE of two random halves of a set: what no difference looks like at this size.

    Each seed of k-means has its own halves. An odd text is left out. The value of equal
    distributions falls with the clusters per text, not with the texts: leave `num_clusters` at
    None here and in `mauve` to compare both.

    Args:
        feature_ND: Features of the set.
        num_clusters: As of `mauve`, about a half.
        seeds: Of k-means and of the halves.
        explained: Share of the variance that PCA keeps.
        num_weights: Mixture weights.
        scale: c.

    Raises:
        ValueError: As of `mauve`, about a half.
    """
    half = len(feature_ND) // 2
    found = []
    for seed in seeds:
        order = np.random.default_rng(seed).permutation(len(feature_ND))
        halves = feature_ND[order[:half]], feature_ND[order[half : 2 * half]]
        found.append(mauve(*halves, num_clusters, (seed,), explained, num_weights, scale))
    return Mauve(tuple(one.mean for one in found), found[0].num_clusters)


def reduced(feature_ND: Features, explained: float) -> NDArray[np.float64]:
    """Rows of unit length in the fewest principal components that explain enough.

    Raises:
        ValueError: Features are not finite.
    """
    from sklearn.decomposition import PCA

    feature_ND = feature_ND.astype(np.float64)
    if not np.isfinite(feature_ND).all():
        num = int((~np.isfinite(feature_ND)).any(axis=1).sum())
        raise ValueError(f"features of {num} texts are not finite")
    length_N1 = np.linalg.norm(feature_ND, axis=1, keepdims=True)
    unit_ND = feature_ND / np.where(length_N1 > 0, length_N1, 1)
    if not np.ptp(unit_ND, axis=0).any():  # all texts are alike, and no component explains that
        return unit_ND
    found: NDArray[np.float64] = PCA(explained, svd_solver="full").fit_transform(unit_ND)
    return found


def histograms(
    both: NDArray[np.float64], num_first: int, num_clusters: int, seed: int
) -> tuple[Histogram, Histogram]:
    """Shares of each set in clusters of both, by k-means.

    Args:
        both: Rows of one set, then of the other.
        num_first: Rows of the one.
        num_clusters: K; fewer where there are fewer distinct rows.
        seed: Of k-means.
    """
    from sklearn.cluster import KMeans

    num = min(num_clusters, len(np.unique(both, axis=0)))
    cluster = KMeans(num, n_init=5, max_iter=500, random_state=seed).fit(both).labels_
    parts = cluster[:num_first], cluster[num_first:]
    p, q = (np.bincount(one, minlength=num) / len(one) for one in parts)
    return p, q


def divergence_curve(
    p_K: Histogram, q_K: Histogram, num_weights: int = NUM_WEIGHTS, scale: float = SCALE
) -> NDArray[np.float64]:
    """Points of the curve, [2 + W, 2], from (1, 0) to (0, 1), where it meets the axes."""
    from scipy.special import rel_entr  # type: ignore[import-untyped]

    weight_W1 = np.linspace(MARGIN, 1 - MARGIN, num_weights)[:, None]
    mixed_WK = weight_W1 * p_K + (1 - weight_W1) * q_K
    divergence_W2 = np.stack([rel_entr(one, mixed_WK).sum(1) for one in (q_K, p_K)], axis=1)
    return np.concatenate([[[1, 0]], np.exp(-scale * divergence_W2), [[0, 1]]])


def area(curve: NDArray[np.float64]) -> float:
    """Area under a curve that falls from (0, 1) to (1, 0), by trapezoids."""
    x, y = curve.T
    return float(np.sum((x[:-1] - x[1:]) * (y[:-1] + y[1:])) / 2)
