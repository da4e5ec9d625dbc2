"""Draws from the steered distribution: temperature, top-p, seeds."""

import pytest
import torch

from modules.decoding.black_box.decode import ProxySampling
from tests.fixtures.endpoint import PROMPT, serving


def test_draws_follow_the_distribution_with_temperature_and_top_p():
    logprob_K = torch.tensor([0.1, 0.5, 0.15, 0.25], dtype=torch.float64).log()
    rng = torch.Generator().manual_seed(0)
    cases = {
        (1.0, 1.0): [0.1, 0.5, 0.15, 0.25],
        (0.5, 1.0): [0.01, 0.25, 0.0225, 0.0625],
        (1.0, 0.6): [0.0, 0.5, 0.0, 0.25],
        (1.0, 0.01): [0.0, 1.0, 0.0, 0.0],
    }
    for (temperature, top_p), shares in cases.items():
        how = ProxySampling(temperature=temperature, top_p=top_p)
        drawn = torch.tensor([how.choose(logprob_K, rng) for _ in range(2000)])
        wanted = torch.tensor(shares, dtype=torch.float64) / sum(shares)
        frequency = drawn.bincount(minlength=4) / 2000
        torch.testing.assert_close(frequency.double(), wanted, atol=0.04, rtol=0)
    assert ProxySampling().choose(logprob_K, rng) == 1


def test_a_seed_gives_the_same_text_again(parts, box):
    with serving(model=parts[2], tokenizer=parts[0], as_ids=True) as served:
        first, same, second = (
            box(served, num=50, temperature=2.0, seed=seed).write(PROMPT).tokens
            for seed in (1, 1, 2)
        )
    assert first == same
    assert first != second


def test_each_question_and_each_answer_has_its_own_draws(parts, box):
    with serving(model=parts[2], tokenizer=parts[0], as_ids=True) as served:
        made = box(served, num=50, temperature=2.0)
        texts = [made.write(PROMPT, *name).text for name in (("a",), ("b",), ("a", 1), ("a",))]
    assert texts[0] == texts[3]
    assert len({*texts}) == 3


@pytest.mark.parametrize(
    ("sampling", "message"),
    [
        ({"max_new_tokens": 0}, "max_new_tokens must be at least 1, got 0"),
        ({"temperature": -1.0}, "temperature must not be negative"),
        ({"top_p": 0.0}, r"top_p must lie in \(0, 1\]"),
        ({"stop": [""]}, "a stop string is empty"),
    ],
)
def test_what_cannot_be_sampled_from_is_refused(sampling, message):
    with pytest.raises(ValueError, match=message):
        ProxySampling(**sampling)
