"""Means of answers."""

from modules.graph.asking import summary


def test_means_are_of_the_answers_that_a_number_applies_to():
    answers = [
        {"verdict": "right", "right": 1.0, "steps": None, "effort": 3},
        {"verdict": "wrong", "right": 0.0, "steps": 0.5, "effort": 4},
    ]
    assert summary(answers) == {"right": 0.5, "steps": 0.5, "wrong": 0.5}
