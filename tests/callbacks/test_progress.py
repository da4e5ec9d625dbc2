"""Counts and times where nobody looks at a terminal."""

import pytest

from callbacks import progress
from callbacks.progress import BatchCounter, duration


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.2, "0 s"),
        (59, "59 s"),
        (60, "1 min"),
        (75, "1 min 15 s"),
        (7260, "2 h 1 min"),
        (3600, "1 h"),
        (90000, "1 d 1 h"),
    ],
)
def test_times_read_as_people_say_them(seconds, said):
    assert duration(seconds) == said


@pytest.fixture
def clock(monkeypatch):
    """A clock that is set by hand."""
    now = [100.0]
    monkeypatch.setattr(progress, "monotonic", lambda: now[0])
    return now


def test_a_line_comes_every_half_minute_and_says_the_time_left(clock):
    count = BatchCounter("predict", 40)
    said = []
    for _ in range(12):
        clock[0] += 10
        said.append(count.add())
    assert [line for line in said if line] == [
        "predict 3/40 batches · 6 min 10 s left",
        "predict 6/40 batches · 5 min 40 s left",
        "predict 9/40 batches · 5 min 10 s left",
        "predict 12/40 batches · 4 min 40 s left",
    ]


def test_a_count_without_an_end_says_how_many(clock):
    count = BatchCounter("test", None)
    clock[0] += 31
    assert count.add() == "test 1 batches"
