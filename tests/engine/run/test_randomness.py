import random

import numpy as np
import torch

from engine.run.randomness import mix, seed_all


def draws():
    return random.random(), np.random.rand(), torch.rand(3).tolist()


def test_a_seed_sets_every_generator():
    seed_all(5)
    first = draws()
    assert draws() != first
    seed_all(5)
    assert draws() == first
    seed_all(6)
    assert all(a != b for a, b in zip(draws(), first, strict=True))


def test_seed_rank_and_batch_number_all_matter():
    every = {mix(s, r, n) for s in range(10) for r in range(10) for n in range(100)}
    assert len(every) == 10_000
    assert all(0 <= seed < 2**32 for seed in every)


def test_seeds_of_neighbouring_batches_are_unrelated():
    bits = np.array([[mix(1, 0, n) >> b & 1 for b in range(32)] for n in range(2000)])
    assert abs(bits.mean(0) - 0.5).max() < 0.05
    assert abs((bits[1:] == bits[:-1]).mean(0) - 0.5).max() < 0.05
