import numpy as np
import pytest
import torch
from PIL import Image

from modules.icl.analysis.comparison import (
    Analyses,
    domain_relevance,
    long_context,
    token_frequency,
)
from modules.icl.analysis.groups import Groups
from modules.icl.analysis.information_gain import InformationGain
from modules.icl.analysis.picture import PALETTE, picture, round_numbers

NUM, LENGTH, SUPPORTIVE = 60, 120, range(12)
pytest.importorskip("sklearn")


@pytest.fixture(scope="module")
def groups():
    return Groups.of(SUPPORTIVE, NUM, num=6)


@pytest.fixture(scope="module")
def frequency(groups):
    """The first documents draw their tokens evenly, the others from a steep law."""
    rng = np.random.default_rng(0)
    flat = rng.integers(0, 200, (len(SUPPORTIVE), LENGTH))
    steep = rng.zipf(1.6, (NUM - len(SUPPORTIVE), LENGTH)) % 200
    return token_frequency(groups, np.concatenate([flat, steep]).ravel(), [LENGTH] * NUM)


@pytest.fixture(scope="module")
def context(groups):
    """The first documents gain half a nat less from context, the last one is too short."""
    scored = torch.full((NUM,), 100)
    scored[-1] = 0
    rng = np.random.default_rng(0)
    gain = torch.tensor(rng.normal(1, 0.1, (2, NUM)))
    gain[:, list(SUPPORTIVE)] -= 0.5
    short = torch.full((NUM,), 5.0).double()
    nats = torch.stack([short, *(short - gain)]) * scored
    return long_context(groups, InformationGain(16, (32, 64), nats, scored))


@pytest.fixture(scope="module")
def relevance(groups):
    rng = np.random.default_rng(0)
    pool = rng.normal(size=(NUM, 6))
    pool[list(SUPPORTIVE), 0] += 4
    task = rng.normal(size=(24, 6))
    task[:, 0] += 4
    return domain_relevance(groups, task, pool, num_clusters=2, seeds=(0, 1))


def test_flatter_documents_have_a_lower_coefficient_and_a_longer_tail(frequency):
    assert frequency.zipf.over_seeds().high < 0 < frequency.long_tail.over_seeds().low
    assert frequency.zipf.differs
    assert frequency.long_tail.differs


def test_documents_that_need_less_context_gain_less(context):
    assert list(context.gains) == [32, 64]
    for one in context.gains.values():
        assert one.supportive == pytest.approx(0.5, abs=0.1)
        assert one.differs
        assert one.over_seeds().high < 0


def test_documents_like_the_task_are_closer_to_it(relevance):
    assert relevance.mauve.supportive == relevance.supportive.mean > max(relevance.mauve.random_S)
    assert len(relevance.halves.values) == 2


def test_a_table_has_a_row_a_quantity(frequency, context, relevance):
    rows = Analyses(frequency, context, relevance).rows()
    names = [
        "Zipf coefficient",
        "long-tail mass",
        "IG(32, 16)",
        "IG(64, 16)",
        "MAUVE with the task",
    ]
    assert [row["quantity"] for row in rows] == names
    for row in rows:
        assert row["difference"] == pytest.approx(row["supportive"] - row["random"])
        assert row["one_group_low"] < row["seeds_low"] < row["difference"]
        assert row["difference"] < row["seeds_high"] < row["one_group_high"]
        assert (row["num_groups"], row["left_out"]) == (6, 0)


def test_a_picture_shows_every_task_in_its_colour(frequency, context, relevance):
    one = Analyses(frequency, context, relevance)
    single, double = picture({"labels": one}), picture({"labels": one, "recall": one})
    assert single.size == double.size
    for image, num in ((single, 1), (double, 2)):
        colours = {colour for _, colour in image.getcolors(2**20)}
        shown = [Image.new("RGB", (1, 1), ink).getpixel((0, 0)) in colours for ink in PALETTE]
        assert shown == [True] * num + [False] * (len(PALETTE) - num)


@pytest.mark.parametrize("seed", range(40))
def test_marks_hold_the_range_and_are_few_and_distinct(seed):
    rng = np.random.default_rng(seed)
    low, high = np.sort(rng.normal(size=2) * 10.0 ** rng.integers(-5, 5))
    marks, digits = round_numbers(low, high)
    assert marks[0] <= low < high <= marks[-1]
    assert 2 <= len(marks) <= 6
    assert len({f"{mark:.{digits}f}" for mark in marks}) == len(marks)


def test_marks_hold_a_single_value():
    assert round_numbers(0.0, 0.0)[0] == [0.0, 0.2]
