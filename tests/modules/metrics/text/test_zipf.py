from collections import Counter
from math import log

import numpy as np
import pytest

from modules.metrics.text.zipf import long_tail_mass, rare_tokens, zipf_coefficients

LENGTHS = [300, 1, 40, 0, 900, 7]


@pytest.fixture
def documents():
    rng = np.random.default_rng(0)
    parts = [rng.zipf(1.3, length) % 97 for length in LENGTHS]
    parts[-1][:] = 5
    return parts


def by_loop(tokens, num_ranks):
    """Least squares as the formula of the slope is usually written."""
    counts = [count for _, count in Counter(tokens.tolist()).most_common(num_ranks)]
    x = [log(rank) for rank in range(1, len(counts) + 1)]
    y = [log(count) for count in counts]
    n = len(x)
    if n < 2:
        return float("nan")
    above = n * sum(a * b for a, b in zip(x, y, strict=True)) - sum(x) * sum(y)
    return -above / (n * sum(a * a for a in x) - sum(x) ** 2)


@pytest.mark.parametrize("num_ranks", [2, 10, 5000])
def test_coefficients_equal_a_loop_over_documents(documents, num_ranks):
    found = zipf_coefficients(np.concatenate(documents), LENGTHS, num_ranks)
    expected = [by_loop(one, num_ranks) for one in documents]
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    assert np.isnan(found).tolist() == [False, True, False, True, False, True]


def test_coefficients_equal_the_regression_of_scipy(documents):
    stats = pytest.importorskip("scipy.stats")
    found = zipf_coefficients(documents[4], [900])
    count = np.sort(np.unique(documents[4], return_counts=True)[1])[::-1]
    line = stats.linregress(np.log(np.arange(1, len(count) + 1)), np.log(count))
    np.testing.assert_allclose(found, [-line.slope], rtol=1e-12)


def test_a_power_law_has_its_exponent_and_equal_frequencies_have_none():
    power = np.repeat(np.arange(4), [1296, 648, 432, 324])  # 1296 / rank
    equal = np.tile(np.arange(9), 3)
    found = zipf_coefficients(np.concatenate([power, equal]), [len(power), len(equal)])
    np.testing.assert_allclose(found, [1, 0], atol=1e-12)


def test_small_types_of_ids_do_not_overflow():
    tokens = np.array([65535, 0, 0] * 40_000, np.uint16)
    found = zipf_coefficients(tokens, [3] * 40_000)
    np.testing.assert_allclose(found, 1, rtol=1e-12)


def test_lengths_have_to_fit_the_tokens():
    with pytest.raises(ValueError, match="documents of 5 tokens, but 4 tokens"):
        zipf_coefficients(np.arange(4), [2, 3])


@pytest.mark.parametrize("covered", [0.3, 0.5, 0.9])
def test_frequent_tokens_are_the_fewest_that_cover_the_share(covered):
    counts = np.random.default_rng(1).integers(0, 50, 200)
    is_rare = rare_tokens(counts, covered)
    frequent = counts[~is_rare]
    assert frequent.sum() >= covered * counts.sum() > frequent.sum() - frequent.min()
    assert frequent.min() >= counts[is_rare].max()


def test_of_tokens_as_frequent_the_lower_id_is_frequent():
    assert rare_tokens(np.array([1, 3, 3, 3, 0]), 0.5).tolist() == [True, False, False, True, True]


def test_long_tail_mass_equals_a_loop_and_an_unknown_id_is_rare(documents):
    is_rare = rare_tokens(np.arange(60)[::-1], 0.5)
    found = long_tail_mass(np.concatenate(documents), LENGTHS, is_rare)
    for share, tokens in zip(found, documents, strict=True):
        rare = [token >= 60 or is_rare[token] for token in tokens.tolist()]
        np.testing.assert_equal(share, sum(rare) / len(rare) if rare else np.nan)


def test_a_reference_has_tokens_and_frequent_ones_cover_a_share():
    with pytest.raises(ValueError, match="holds no token"):
        rare_tokens(np.zeros(3, int))
    with pytest.raises(ValueError, match=r"between 0 and 1, got 1\.5"):
        rare_tokens(np.ones(3, int), 1.5)
