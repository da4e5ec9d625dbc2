import importlib.util
from collections.abc import Sequence
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modules.metrics.overlap import (
    RULES,
    begins,
    contains,
    exact,
    first_line,
    longest_common,
    mean_rouge,
    normalised,
    overlap,
    rouge,
    rouge_l,
    rouge_n,
    words_of,
)

PAIRS = [
    ("police killed the gunman", "police kill the gunman"),
    ("the gunman kill police", "police kill the gunman"),
    ("the cat was found under the bed", "the cat was under the bed"),
    ("The U.S. won 3-2, didn't it?", "the us won 3 2; it didn't"),
    ("the the the the", "the cat is on the mat"),
    ("a", "b"),
    ("", "a b"),
]
WORDS = st.lists(st.sampled_from("abcd"), max_size=12)


def plain_longest_common(one: Sequence[str], other: Sequence[str]) -> int:
    """The definition: the last words are the same, or one of them is left out."""

    @cache
    def longest(i: int, j: int) -> int:
        if i == 0 or j == 0:
            return 0
        if one[i - 1] == other[j - 1]:
            return longest(i - 1, j - 1) + 1
        return max(longest(i - 1, j), longest(i, j - 1))

    return longest(len(one), len(other))


def plain_shared(one: list[str], other: list[str], n: int) -> int:
    """Cross out an n-gram of the other text for each of the first."""
    left = [other[i : i + n] for i in range(len(other) - n + 1)]
    shared = 0
    for i in range(len(one) - n + 1):
        if one[i : i + n] in left:
            left.remove(one[i : i + n])
            shared += 1
    return shared


@given(WORDS, WORDS)
def test_the_longest_common_subsequence_is_that_of_the_recursion(one, other):
    assert longest_common(one, other) == plain_longest_common(one, other)


@given(WORDS, WORDS, st.integers(1, 4))
def test_shared_grams_are_those_crossed_out_one_by_one(one, other, n):
    shared = plain_shared(one, other, n)
    found = rouge_n(" ".join(one), " ".join(other), n)
    total_one, total_other = max(0, len(one) - n + 1), max(0, len(other) - n + 1)
    assert found.precision == (shared / total_one if shared else 0)
    assert found.recall == (shared / total_other if shared else 0)


@given(WORDS, WORDS)
def test_exchanging_the_texts_exchanges_precision_and_recall(one, other):
    one, other = " ".join(one), " ".join(other)
    for measure in (lambda a, b: rouge_n(a, b, 2), rouge_l):
        there, back = measure(one, other), measure(other, one)
        assert (there.precision, there.recall, there.f1) == (back.recall, back.precision, back.f1)


@given(WORDS.filter(len))
def test_a_text_shares_all_with_itself(words):
    found = rouge(" ".join(words), [" ".join(words)])
    assert found["rouge_1"] == found["rouge_l"] == (1, 1, 1)
    assert found["rouge_2"] == ((1, 1, 1) if len(words) > 1 else (0, 0, 0))


@given(WORDS, WORDS)
def test_f_is_the_harmonic_mean(one, other):
    for found in rouge(" ".join(one), [" ".join(other)]).values():
        if found.f1:
            mean = 2 * found.precision * found.recall / (found.precision + found.recall)
            assert found.f1 == pytest.approx(mean)


def test_lins_example_by_hand():
    """Section 3.1: "police kill the gunman" against both candidates, 3 and 2 words in order."""
    assert rouge_l(*PAIRS[0]) == (0.75, 0.75, 0.75)
    assert rouge_l(*PAIRS[1]) == (0.5, 0.5, 0.5)
    assert rouge_n(*PAIRS[0], n=2) == pytest.approx((1 / 3, 1 / 3, 1 / 3))
    assert rouge_n(*PAIRS[1], n=2) == pytest.approx((1 / 3, 1 / 3, 1 / 3))


def test_repeated_words_count_as_often_as_both_texts_have_them():
    assert rouge_n(*PAIRS[4], n=1) == pytest.approx((2 / 4, 2 / 6, 0.4))


def test_words_are_runs_of_letters_and_digits():
    assert words_of("The U.S. won 3-2, didn't it?") == "the u s won 3 2 didn t it".split()
    assert words_of("café — 北京") == ["caf"]


def test_another_split_may_be_given():
    assert rouge("北京 市", ["北京"], words=str.split)["rouge_1"] == pytest.approx((0.5, 1, 2 / 3))


def test_of_several_references_the_one_of_highest_f_counts():
    found = rouge("a b c d", ["a", "c d e f", "x"])
    assert found["rouge_1"] == (0.5, 0.5, 0.5)
    assert found["rouge_2"] == pytest.approx((1 / 3, 1 / 3, 1 / 3))


def test_empty_texts_count_in_the_mean():
    found = mean_rouge(["a b", ""], [["a b"], ["a b"]])
    assert found["rouge_1"] == found["rouge_2"] == found["rouge_l"] == (0.5, 0.5, 0.5)


def test_what_cannot_be_compared_is_refused():
    with pytest.raises(ValueError, match="no reference for 'a'"):
        rouge("a", [])
    with pytest.raises(ValueError, match="must be a list of texts, got the text 'a b'"):
        rouge("a", "a b")
    with pytest.raises(ValueError, match="2 texts for 1 lists of references"):
        mean_rouge(["a", "b"], [["a"]])
    with pytest.raises(ValueError, match="0 texts"):
        mean_rouge([], [])
    with pytest.raises(ValueError, match="n must be at least 1, got 0"):
        rouge_n("a", "a", 0)


@pytest.mark.skipif(importlib.util.find_spec("torchmetrics") is None, reason="needs torchmetrics")
@pytest.mark.parametrize(("candidate", "reference"), PAIRS)
def test_scores_are_those_of_torchmetrics(candidate, reference):
    from torchmetrics.functional.text.rouge import rouge_score

    keys = ("rouge1", "rouge2", "rougeL")
    theirs = rouge_score(candidate, reference, rouge_keys=keys)
    for key, ours in zip(keys, rouge(candidate, [reference]).values(), strict=True):
        for part, value in zip(("precision", "recall", "fmeasure"), ours, strict=True):
            assert value == pytest.approx(theirs[f"{key}_{part}"].item(), abs=1e-6), (key, part)


@pytest.mark.skipif(importlib.util.find_spec("rouge_score") is None, reason="needs rouge_score")
@pytest.mark.parametrize(("candidate", "reference"), PAIRS)
def test_scores_are_those_of_the_common_scorer(candidate, reference):
    from rouge_score.rouge_scorer import RougeScorer

    theirs = RougeScorer(["rouge1", "rouge2", "rougeL"]).score(reference, candidate)
    for ours, (_, other) in zip(
        rouge(candidate, [reference]).values(), theirs.items(), strict=True
    ):
        assert ours == pytest.approx((other.precision, other.recall, other.fmeasure))


# Short answers


def test_normalising_drops_case_articles_punctuation_and_spaces():
    assert normalised(' The  "Beatles"\n(a band), an era.') == "beatles band era"
    assert normalised("theatre, another, A.") == "theatre another"
    assert normalised("it's") == "its"


@pytest.mark.parametrize(
    ("answer", "references", "right"),
    [
        (" 23 episodes.", ["23 episodes"], "exact first_line begins contains"),
        ("The Beatles", ["beatles", "x"], "exact first_line begins contains"),
        ("\n 23\nWho sang it?", ["23"], "first_line begins contains"),
        (" heavy. And so on", [" heavy."], "begins contains"),
        ("The season had 23 episodes . Who", ["23"], "contains"),
        ("two\nwords", ["two words"], "exact begins contains"),
        ("north", ["no"], ""),
        ("episodes 23", ["23 episodes"], ""),
        ("", ["23"], ""),
        ("some text", ["the"], ""),
        ("!", ["the"], "exact first_line begins contains"),
    ],
)
def test_which_rules_call_an_answer_right(answer, references, right):
    assert [name for name, rule in RULES.items() if rule(answer, references)] == right.split()


@given(
    st.lists(st.sampled_from(["a", "the", "x", "y.", "\n", "z"]), max_size=6).map(" ".join),
    st.lists(st.sampled_from(["x", "y", "x y", "The z", "z x"]), min_size=1, max_size=3),
)
def test_a_stricter_rule_implies_the_more_lenient_one(answer, references):
    assert exact(answer, references) <= begins(answer, references) <= contains(answer, references)
    assert first_line(answer, references) <= begins(answer, references)


def test_rules_need_a_reference():
    for rule in RULES.values():
        with pytest.raises(ValueError, match="no reference"):
            rule("x", [])


def test_counts_without_anything_shared_are_zero():
    assert overlap(0, 0, 0) == (0, 0, 0)
