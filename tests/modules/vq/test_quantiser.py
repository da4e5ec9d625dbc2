"""A codebook of running means."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from modules.vq.quantiser import (
    VectorQuantiser,
    code_sums,
    nearest_code,
    perplexity,
    straight_through,
)


def draw(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def quantiser(num_codes=5, size=3, **options):
    torch.manual_seed(0)
    vq = VectorQuantiser(num_codes, size, **options).double()
    vq.begin(draw(num_codes, size, seed=9))
    return vq


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 20), st.integers(2, 30), st.integers(1, 8), st.integers(0, 99))
def test_every_vector_goes_to_the_nearest_of_all_codes(num, num_codes, size, seed):
    vectors, codes = draw(num, size, seed=seed), draw(num_codes, size, seed=seed + 1)
    indices = nearest_code(vectors, codes).tolist()
    for vector, number in zip(vectors.tolist(), indices, strict=True):
        pairs = [zip(vector, code, strict=True) for code in codes.tolist()]
        distances = [sum((a - b) ** 2 for a, b in pair) for pair in pairs]
        assert distances[number] == pytest.approx(min(distances), abs=1e-12)


def test_single_precision_finds_the_codes_of_double_precision():
    vectors, codes = draw(2000, 16), draw(512, 16, seed=1)
    indices = nearest_code(vectors.float(), codes.float())
    assert (indices == nearest_code(vectors, codes)).float().mean() > 0.999


def test_the_gradient_passes_straight_through_to_the_vectors():
    vectors = draw(7, 3).requires_grad_()
    codes = draw(7, 3, seed=1).requires_grad_()
    passed = straight_through(vectors, codes)
    torch.testing.assert_close(passed, codes, rtol=0, atol=1e-12)
    weight = draw(7, 3, seed=2)
    (passed * weight).sum().backward()
    assert torch.equal(vectors.grad, weight)
    assert codes.grad is None


def test_codes_move_as_the_formulas_say():
    book = quantiser(decay=0.9, revive_below=0.0)
    N, m = np.ones(5), book.code_KD.numpy().copy()
    for step in range(4):
        vectors = draw(40, 3, seed=step)
        _, numbers = book(vectors)
        book.update(*code_sums(vectors, numbers, 5), torch.zeros(5, 3))
        for code in range(5):
            mine = vectors[numbers == code].numpy()
            N[code] = 0.9 * N[code] + 0.1 * len(mine)
            m[code] = 0.9 * m[code] + 0.1 * mine.sum(0)
            np.testing.assert_allclose(book.count_K[code], N[code], rtol=1e-6)
            np.testing.assert_allclose(book.code_KD[code], m[code] / N[code], rtol=1e-5, atol=1e-6)


def test_sums_of_parts_are_the_sums_of_the_whole():
    vectors, numbers = draw(30, 4), torch.randint(0, 6, (30,))
    counts, sums = code_sums(vectors, numbers, 6)
    parts = [code_sums(vectors[i::2], numbers[i::2], 6) for i in range(2)]
    assert torch.equal(counts, parts[0][0] + parts[1][0])
    torch.testing.assert_close(sums, parts[0][1] + parts[1][1])


def test_a_code_that_nothing_comes_to_stays_where_it_is_or_moves_to_a_vector():
    vectors = torch.full((8, 3), 100.0, dtype=torch.float64)
    for share, wanted in ((0.0, False), (0.05, True)):
        book = quantiser(decay=0.5, revive_below=share)
        before = book.code_KD.clone()
        for _ in range(40):
            _, numbers = book(vectors)
            num_dead = book.update(*code_sums(vectors, numbers, 5), vectors[:5] + 1)
        moved = (book.code_KD - before).abs().amax(1) > 1e-6
        assert moved.all() if wanted else moved.sum() == 1
        assert wanted or num_dead == 0


def test_all_codes_come_into_use_where_half_of_them_begin_far_away():
    book = quantiser(num_codes=32, size=2, decay=0.9)
    book.begin(torch.cat([draw(16, 2), draw(16, 2) + 1000]))
    for step in range(60):
        vectors = draw(400, 2, seed=step)
        _, numbers = book(vectors)
        chosen = torch.randint(400, (32,), generator=torch.Generator().manual_seed(step))
        book.update(*code_sums(vectors, numbers, 32), vectors[chosen])
    assert len(book(draw(400, 2, seed=99))[1].unique()) >= 30


@given(st.lists(st.integers(0, 50), min_size=1, max_size=9).filter(any))
def test_perplexity_is_that_of_the_shares(counts):
    shares = np.array([count for count in counts if count]) / sum(counts)
    wanted = np.exp(-(shares * np.log(shares)).sum())
    assert perplexity(torch.tensor(counts)).item() == pytest.approx(wanted)
    assert perplexity(torch.full((7,), 3)).item() == pytest.approx(7)
    assert perplexity(torch.zeros(4)).item() == 1


def test_bad_numbers_are_refused():
    with pytest.raises(ValueError, match="got 1 of 4"):
        VectorQuantiser(1, 4)
    with pytest.raises(ValueError, match=r"within \[0, 1\), got 1.0 and 0.05"):
        VectorQuantiser(4, 4, decay=1.0)
