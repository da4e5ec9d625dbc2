from functools import partial
from math import cos, pi

import pytest
import torch

from engine.optim.schedules import (
    WarmupConstant,
    WarmupCosine,
    WarmupLinear,
    WarmupStableDecay,
)


def rates(make, num_steps):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=2.0)
    scheduler = make(optimizer)
    rates = []
    for _ in range(num_steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


def test_cosine_is_the_formula():
    warmup, total, floor = 4, 20, 0.1
    expected = []
    for step in range(25):
        if step < warmup:
            expected.append(2.0 * (step + 1) / (warmup + 1))
        else:
            done = min(1.0, (step - warmup) / (total - warmup))
            expected.append(2.0 * (floor + (1 - floor) * (1 + cos(pi * done)) / 2))
    assert rates(lambda o: WarmupCosine(o, total, warmup, floor), 25) == pytest.approx(expected)


def test_linear_goes_straight_to_its_floor():
    expected = [2.0, 1.5, 1.0, 0.5, 0.0, 0.0]
    assert rates(lambda o: WarmupLinear(o, 4), 6) == pytest.approx(expected)


def test_stable_decay_stays_and_then_goes_straight_to_its_floor():
    expected = [1.0, 2.0, 2.0, 2.0, 1.75, 1.5, 1.25, 1.0, 1.0]
    schedule = partial(WarmupStableDecay, total_steps=7, warmup_steps=1, decay=4 / 7, floor=0.5)
    assert rates(schedule, 9) == pytest.approx(expected)
    with pytest.raises(ValueError, match="decay must lie in"):
        rates(partial(WarmupStableDecay, total_steps=7, decay=1.5), 1)


def test_constant_stays():
    assert rates(lambda o: WarmupConstant(o, 3), 5) == pytest.approx([0.5, 1.0, 1.5, 2.0, 2.0])


def test_a_schedule_of_unknown_length_is_refused():
    with pytest.raises(ValueError, match=r"total_steps -1; set trainer\.max_steps"):
        rates(lambda o: WarmupCosine(o, -1), 1)
