"""ROUGE by the library against figures made by hand."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer

from modules.metrics.text.rouge import KINDS, rouge

PAIRS = [
    ("police killed the gunman", "police kill the gunman"),
    ("the gunman kill police", "police kill the gunman"),
    ("the cat was found under the bed", "the cat was under the bed"),
    ("The U.S. won 3-2, didn't it?", "the us won 3 2; it didn't"),
    ("the the the the", "the cat is on the mat"),
    ("a", "b"),
    ("", "a b"),
    ("café — 北京", "cafe 北京 x"),
]
WORDS = st.lists(st.sampled_from("abcd"), max_size=12)


def plain_overlap(candidate, reference, n):
    """Words and word pairs crossed out one by one; n = 0 means the longest common subsequence."""
    if n:
        pairs = (
            zip(*(words[i:] for i in range(n)), strict=False) for words in (candidate, reference)
        )
        ours, theirs = map(Counter, pairs)
        return (ours & theirs).total(), ours.total(), theirs.total()
    row = [0] * (len(reference) + 1)
    for word in candidate:
        before = row[:]
        for place, wanted in enumerate(reference, start=1):
            longer = before[place - 1] + 1 if word == wanted else 0
            row[place] = max(before[place], row[place - 1], longer)
    return row[-1], len(candidate), len(reference)


@given(WORDS, WORDS)
def test_the_librarys_figures_are_those_counted_by_hand(candidate, reference):
    scores = rouge(" ".join(candidate), [" ".join(reference)])
    for name, n in (("rouge_1", 1), ("rouge_2", 2), ("rouge_l", 0)):
        shared, ours, theirs = plain_overlap(candidate, reference, n)
        assert scores[name].precision == pytest.approx(shared / ours if ours else 0)
        assert scores[name].recall == pytest.approx(shared / theirs if theirs else 0)
        assert scores[name].f1 == pytest.approx(2 * shared / (ours + theirs) if shared else 0)


@pytest.mark.parametrize("stemmer", [False, True])
@pytest.mark.parametrize(("candidate", "reference"), PAIRS)
def test_scores_are_those_of_the_common_scorer(candidate, reference, stemmer):
    theirs = RougeScorer(list(KINDS.values()), use_stemmer=stemmer).score(reference, candidate)
    ours = rouge(candidate, [reference], list(KINDS), stemmer)
    assert list(ours) == list(KINDS)
    for name, other in KINDS.items():
        part = theirs[other]
        assert ours[name] == (part.precision, part.recall, part.fmeasure)


def test_lins_example_by_hand():
    """Section 3.1: "police kill the gunman" against both candidates, 3 and 2 words in order."""
    scores = [rouge(candidate, [reference]) for candidate, reference in PAIRS[:2]]
    assert scores[0]["rouge_l"] == (0.75, 0.75, 0.75)
    assert scores[1]["rouge_l"] == (0.5, 0.5, 0.5)
    for score in scores:
        assert score["rouge_2"] == pytest.approx((1 / 3, 1 / 3, 1 / 3))


def test_stems_are_the_same_word_and_only_where_asked():
    pair = "the cats were running", ["the cat was running"]
    assert rouge(*pair, ["rouge_1"])["rouge_1"].f1 == 0.5
    assert rouge(*pair, ["rouge_1"], stemmer=True)["rouge_1"].f1 == 0.75


def test_lines_in_another_order_are_the_same_summary():
    """Two lines exchanged: the longest subsequence of the whole is one line of four words."""
    pair = "rain fell last night\na dog barked at it", ["a dog barked at it\nrain fell last night"]
    scores = rouge(*pair, ["rouge_l", "rouge_lsum"])
    assert scores["rouge_l"].f1 == pytest.approx(5 / 9)
    assert scores["rouge_lsum"].f1 == 1


def test_another_split_may_be_given():
    score = rouge("北京 市", ["北京"], ["rouge_1"], words=r"\S+")["rouge_1"]
    assert score == pytest.approx((0.5, 1, 2 / 3))
    assert rouge("北京市", ["北京"], ["rouge_1"], words=r"\w")["rouge_1"].precision == 2 / 3


def test_of_several_references_the_one_of_highest_f_counts():
    scores = rouge("a b c d", ["a", "c d e f", "x"])
    assert scores["rouge_1"] == (0.5, 0.5, 0.5)
    assert scores["rouge_2"] == pytest.approx((1 / 3, 1 / 3, 1 / 3))


def test_what_cannot_be_compared_is_refused():
    with pytest.raises(ValueError, match="no reference for 'a'"):
        rouge("a", [])
    with pytest.raises(ValueError, match="must be a list of texts, got the text 'a b'"):
        rouge("a", "a b")
    with pytest.raises(ValueError, match=r"words is no regular expression: '\('"):
        rouge("a", ["a"], words="(")
    with pytest.raises(ValueError, match="give stemmer or words"):
        rouge("a", ["a"], stemmer=True, words="x")
