from itertools import pairwise
from math import exp, log

import numpy as np
import pytest

from modules.metrics.text.mauve import area, divergence_curve, mauve, mauve_of_halves

pytest.importorskip("sklearn")


def gaussians(num, shift=0.0, seed=0, size=16):
    """Points around a few centres; a shift moves all of them."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(99).normal(size=(8, size))
    return centres[rng.integers(0, 8, num)] + rng.normal(0, 0.3, (num, size)) + shift


def curve_by_loop(p, q, num_weights, scale):
    """The paper's equations, a weight at a time."""

    def kl(a, b):
        return sum(x * log(x / y) for x, y in zip(a, b, strict=True) if x > 0)

    points = []
    for n in range(num_weights):
        w = 1e-6 + (1 - 2e-6) * n / (num_weights - 1)
        mixed = [w * a + (1 - w) * b for a, b in zip(p, q, strict=True)]
        points.append((exp(-scale * kl(q, mixed)), exp(-scale * kl(p, mixed))))
    return points


def area_by_loop(points):
    """Below the segments between points, from the left to the right."""
    points = sorted([(0.0, 1.0), *points, (1.0, 0.0)], key=lambda xy: (xy[0], -xy[1]))
    total = 0.0
    for (x, y), (right, lower) in pairwise(points):
        total += (right - x) * (y + lower) / 2
    return total


@pytest.mark.parametrize(("num_weights", "scale"), [(25, 5.0), (7, 1.0), (100, 2.5)])
def test_curve_and_area_equal_a_loop_over_weights(num_weights, scale):
    rng = np.random.default_rng(2)
    p, q = rng.dirichlet([0.3] * 12, 2)
    p[:3] = 0
    p /= p.sum()
    curve = divergence_curve(p, q, num_weights, scale)
    points = curve_by_loop(p.tolist(), q.tolist(), num_weights, scale)
    np.testing.assert_allclose(curve[1:-1], points, rtol=1e-9)
    assert area(curve) == pytest.approx(area_by_loop(points), rel=1e-9)


def test_equal_histograms_have_area_one_and_disjoint_ones_none():
    p, q = np.array([0.5, 0.5, 0, 0]), np.array([0, 0, 0.25, 0.75])
    assert area(divergence_curve(p, p)) == pytest.approx(1, abs=1e-12)
    assert area(divergence_curve(p, q)) < 0.005


def test_a_set_is_close_to_itself_and_far_from_a_disjoint_one():
    one = gaussians(200)
    assert mauve(one, one).mean == pytest.approx(1, abs=1e-6)
    assert mauve(one, gaussians(200, shift=40)).mean < 0.01


def test_it_is_symmetric_and_falls_with_the_distance():
    one = gaussians(300)
    values = [mauve(one, gaussians(300, shift, seed=1)).mean for shift in (0, 0.3, 1)]
    assert values[0] > values[1] > values[2]
    p, q = np.random.default_rng(0).dirichlet([1] * 9, 2)
    assert area(divergence_curve(p, q)) == pytest.approx(area(divergence_curve(q, p)))


def test_every_seed_has_a_value_and_all_of_them_come_again():
    one, other = gaussians(150), gaussians(120, 0.3, seed=1)
    found = mauve(one, other)
    assert len(found.values) == 5
    assert len(set(found.values)) > 1
    assert found.num_clusters == 12
    assert found.mean == pytest.approx(sum(found.values) / 5)
    assert found == mauve(one, other)


def test_halves_of_a_set_are_closer_than_another_set():
    one, other = gaussians(401), gaussians(400, 0.5, seed=1)
    halves = mauve_of_halves(one)
    assert halves.num_clusters == 20
    assert min(halves.values) > max(mauve(one, other).values)


def test_texts_that_are_all_alike_are_one_cluster():
    assert mauve(np.ones((20, 4)), np.ones((20, 4))).values == (1.0,) * 5


def test_features_have_to_be_finite_and_enough():
    broken = gaussians(20)
    broken[3, 0] = np.nan
    with pytest.raises(ValueError, match="features of 1 texts are not finite"):
        mauve(broken, gaussians(20))
    with pytest.raises(ValueError, match="30 clusters need as many texts a set, got 20"):
        mauve(gaussians(20), gaussians(40), num_clusters=30)


def test_it_is_near_the_value_of_the_package_of_its_authors():
    package = pytest.importorskip("mauve", reason="mauve-text is not installed")
    one = gaussians(400).astype(np.float32)
    for shift in (0, 0.3, 0.8):
        other = gaussians(400, shift, seed=1).astype(np.float32)
        theirs = [
            package.compute_mauve(
                p_features=one, q_features=other, seed=seed, num_buckets=40, verbose=False
            ).mauve
            for seed in range(1, 6)
        ]
        ours = mauve(one, other).values
        spread = 0.01 + 2 * (np.std(theirs) + np.std(ours))
        assert np.mean(ours) == pytest.approx(np.mean(theirs), abs=spread)
