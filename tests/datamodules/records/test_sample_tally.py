import json

import pytest

from datamodules.records.document import BadSample
from datamodules.records.sample_tally import SampleTally


def bad_samples(*numbers: int) -> list[BadSample]:
    return [BadSample(f"a.tar:{n}", "cut off") for n in numbers]


@pytest.mark.filterwarnings("ignore")
def test_each_bad_sample_is_listed_once_and_counted_every_time(tmp_path):
    file = tmp_path / "run" / "bad_samples.jsonl"
    tally = SampleTally("train", 1000, 0.01, file)
    for bad in ((), (3,), (3, 4), ()):
        tally.note(10, bad_samples(*bad))
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    assert rows == [{"stage": "train", "origin": f"a.tar:{n}", "reason": "cut off"} for n in (3, 4)]
    assert tally.state_dict() == {"drawn": 40, "bad": 3}


def test_the_first_one_is_announced(tmp_path):
    tally = SampleTally("train", 1000, 0.01, tmp_path / "bad.jsonl")
    with pytest.warns(UserWarning, match=r"a\.tar:3 cannot be used: cut off.*bad\.jsonl"):
        tally.note(10, bad_samples(3))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("num_items", "rate", "allowed"), [(10, 0.0, 0), (100, 0.05, 5), (10**6, 0.01, 10)]
)
def test_too_many_stop_the_run_with_the_reason(num_items, rate, allowed):
    tally = SampleTally("train", num_items, rate)
    for number in range(allowed):
        tally.note(1, bad_samples(number))
    message = rf"{allowed + 1} of {allowed + 1} samples of train.*max_bad_rate={rate:.2%}.*cut off"
    with pytest.raises(ValueError, match=message):
        tally.note(1, bad_samples(99))


@pytest.mark.filterwarnings("ignore")
def test_a_resumed_run_counts_on():
    first = SampleTally("train", 100, 0.02)
    first.note(50, bad_samples(1, 2))
    second = SampleTally("train", 100, 0.02)
    second.load_state_dict(first.state_dict())
    with pytest.raises(ValueError, match="3 of 60 samples"):
        second.note(10, bad_samples(3))
