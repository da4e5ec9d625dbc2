"""Questions shared among ranks."""

import pytest

from modules.graph.asking import of_rank, summary


@pytest.mark.parametrize("num", [0, 1, 5, 6, 7])
@pytest.mark.parametrize("num_ranks", [1, 2, 3])
def test_every_rank_asks_equally_many_and_together_they_ask_all(num, num_ranks):
    shares = [of_rank(num, rank, num_ranks) for rank in range(num_ranks)]
    assert len({len(share) for share in shares}) == 1
    assert {number for share in shares for number in share} == set(range(num))


def test_means_are_of_the_answers_that_a_number_applies_to():
    answers = [
        {"verdict": "right", "right": 1.0, "steps": None, "effort": 3},
        {"verdict": "wrong", "right": 0.0, "steps": 0.5, "effort": 4},
    ]
    assert summary(answers) == {"right": 0.5, "steps": 0.5, "wrong": 0.5}
