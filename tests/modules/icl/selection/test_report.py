from dataclasses import dataclass, field
from random import Random

import pytest

from modules.icl.selection.orca import Found
from modules.icl.selection.report import by_source, near_duplicates, report, runs_of_words

WORDS = "a stitch in time saves nine but a watched pot of water never boils at all".split()


@dataclass
class Pool:
    """Texts with their sources."""

    texts: list[str]
    sources: list[str]
    ids: list[str] = field(default_factory=list)

    def text(self, index):
        return self.texts[index]


def resembling(first, second):
    runs = [runs_of_words(one) for one in (first, second)]
    return len(runs[0] & runs[1]) / len(runs[0] | runs[1])


@pytest.mark.parametrize("alike", [0.3, 0.8, 1.0])
def test_repeats_are_those_of_a_loop_over_pairs(alike):
    rng = Random(0)
    texts = [" ".join(WORDS[rng.randrange(6) : 10 + rng.randrange(6)]) for _ in range(30)]
    repeats = [
        any(resembling(texts[n], texts[m]) >= alike for m in range(n)) for n in range(len(texts))
    ]
    assert 0 < sum(repeats) < len(texts)
    assert near_duplicates(texts, alike) == sum(repeats)


def test_case_and_typography_make_no_other_text_and_short_texts_are_compared_whole():
    text = " ".join(WORDS)
    assert near_duplicates([text, text.upper() + "!", text.replace(" ", "  ")]) == 2
    assert near_duplicates(["one two", "two one", "One two.", "...", "...", "?!"]) == 2
    assert near_duplicates([text]) == 0


def test_one_word_of_a_long_text_changed_leaves_it_nearly_the_same():
    long = [f"word{n}" for n in range(60)]
    changed = [*long[:30], "other", *long[31:]]
    assert near_duplicates([" ".join(long), " ".join(changed)]) == 1
    assert near_duplicates([" ".join(long), " ".join(long[30:])]) == 0


def test_shares_of_sources_stand_beside_those_of_the_pool():
    sources = ["books"] * 6 + ["news"] * 3 + ["code"]
    assert by_source([0, 6, 7, 8], sources) == (
        "news 75% (of the pool 30%), books 25% (of the pool 60%), 1 more"
    )


def found():
    cosine = [0.9, 0.1, 0.8, 0.2]
    columns = {"cosine_1": cosine, "loss": [4.0, 1.0, 3.0, 2.0], "norm": [1.0, 4.0, 2.0, 3.0]}
    return Found(columns | {"targets": [7.0] * 4}, [[0, 2]])


def test_an_iteration_is_told_in_lines():
    pool = Pool(["the same text", "other", "The same text.", "more"], ["a", "a", "b", "b"])
    assert [*report(found(), pool, 1)] == [
        "iteration 1: 2 documents of cosine 0.800 to 0.900, 2 of them new",
        "  its cosine's rank correlation with loss 1.00, norm -1.00",
        "  nearly the same as a document above it: 50.0%",
        "  by source: a 50% (of the pool 50%), b 50% (of the pool 50%)",
    ]


def test_a_single_source_is_not_told():
    pool = Pool(["one", "two", "three", "four"], ["a"] * 4)
    assert not any("source" in line for line in report(found(), pool, 1))
