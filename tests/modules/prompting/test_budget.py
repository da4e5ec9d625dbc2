import pytest
from hypothesis import given
from hypothesis import strategies as st

from modules.prompting.budget import Budget, pack

LENGTHS = st.lists(st.integers(0, 30), max_size=12)
BUDGETS = st.builds(Budget, st.integers(0, 80), st.integers(0, 30), st.booleans())


def papers_loop(lengths: list[int], total: int, longest: int) -> list[int]:
    """The rule as a loop: skip what is too long, add up, keep or break."""
    kept, taken = [], 0
    for number, length in enumerate(lengths):
        if length > longest:
            continue
        taken += length
        if taken <= total:
            kept.append(number)
        else:
            break
    return kept


@given(LENGTHS, st.integers(0, 80), st.integers(0, 30))
def test_the_papers_rule_is_its_loop(lengths, total, longest):
    assert pack(lengths, Budget(total, longest)).kept == papers_loop(lengths, total, longest)


@given(LENGTHS, BUDGETS)
def test_every_candidate_is_counted_once_and_the_budget_holds(lengths, budget):
    packing = pack(lengths, budget)
    others = packing.num_too_long + packing.num_over + packing.num_unseen
    assert len(packing.kept) + others == len(lengths)
    assert packing.num_tokens == sum(lengths[number] for number in packing.kept) <= budget.total
    assert packing.kept == sorted(packing.kept)


@given(LENGTHS, st.integers(0, 80), st.integers(0, 30))
def test_filling_keeps_what_the_paper_keeps_and_leaves_nothing_that_fits(lengths, total, longest):
    stopped, full = (pack(lengths, Budget(total, longest, fill)) for fill in (False, True))
    assert full.kept[: len(stopped.kept)] == stopped.kept
    assert full.num_unseen == 0
    left = set(range(len(lengths))) - {*full.kept}
    for number in left:
        before = sum(lengths[other] for other in full.kept if other < number)
        assert lengths[number] > longest or before + lengths[number] > total


def test_the_first_that_does_not_fit_ends_packing_unless_filling():
    lengths = [40, 90, 70, 20, 5]
    stopped = pack(lengths, Budget(total=100, longest=80))
    assert stopped.kept == [0]
    assert (stopped.num_too_long, stopped.num_over, stopped.num_unseen) == (1, 1, 2)
    full = pack(lengths, Budget(total=100, longest=80, fill=True))
    assert full.kept == [0, 3, 4]
    assert (full.num_tokens, full.num_too_long, full.num_over) == (65, 1, 1)


def test_without_the_last_there_is_one_over_more():
    lengths = [10, 99, 20]
    packing = pack(lengths, Budget(total=50, longest=60)).without_last(lengths)
    assert (packing.kept, packing.num_tokens, packing.num_over, packing.num_too_long) == (
        [0],
        10,
        1,
        1,
    )


def test_an_exact_fit_fits():
    assert pack([500, 2500], Budget(longest=2500)).kept == [0, 1]
    assert pack([500, 501], Budget()).kept == [0]


@pytest.mark.parametrize("name", ["total", "longest", "prompt"])
def test_a_negative_budget_is_refused(name):
    with pytest.raises(ValueError, match=f"{name} must not be negative, got -1"):
        Budget(**{name: -1})
