"""Pairs of a passage and its principal sentence."""

from collections import Counter

import pytest

from datamodules.articles.gap_sentences import GapSentences
from datamodules.articles.source import Article
from datamodules.records.document import BadSample
from tests.fixtures.articles import Given

TEXT = (
    "A dog ran off. The old dog ran over the hill today. It rained.\n"
    "The hill was wet today. The dog slept. Birds sang on every roof in town."
)


def pairs(text: str, **options) -> list[Article | BadSample]:
    return list(GapSentences(Given(Article("a", "file:1", text)), **options).articles())


def by_loops(sentences: list[str], least: int, most: int) -> int:
    """The principal sentence, word by word."""
    best, at = -1.0, -1
    for n, sentence in enumerate(sentences):
        own = sentence.lower().strip(".").split()
        rest = [w for m, s in enumerate(sentences) if m != n for w in s.lower().strip(".").split()]
        hits = sum(min(num, rest.count(word)) for word, num in Counter(own).items())
        if least <= len(own) <= most and 2 * hits / (len(own) + len(rest)) > best:
            best, at = 2 * hits / (len(own) + len(rest)), n
    return at


def test_the_sentence_that_its_passage_repeats_most_is_the_summary_of_the_others():
    [found] = pairs(TEXT)
    sentences = [line.strip(".") + "." for line in TEXT.replace("\n", " ").split(". ")]
    at = by_loops(sentences, 5, 16)
    assert found.summary == sentences[at] == "The old dog ran over the hill today."
    assert found.text == " ".join(sentences[:at] + sentences[at + 1 :])
    assert (found.id, found.origin) == ("a.1", "file:1")


def test_a_passage_has_the_stance_of_its_article_but_its_summary_none_that_is_known():
    article = Article("a", "f:1", TEXT, "Rain.", "left", (), "right")
    [found] = GapSentences(Given(article)).articles()
    assert (found.stance, found.summary_stance) == ("left", "")


def test_passages_follow_each_other_and_short_rests_are_left_out():
    found = pairs(TEXT, sentences=3, least=3)
    assert [one.id for one in found] == ["a.1", "a.2"]
    assert len(pairs(TEXT, sentences=4, least=3)) == 1  # two sentences are left over
    assert len(pairs(TEXT, sentences=3, least=3, passages=1)) == 1


def test_a_passage_without_a_sentence_of_the_right_length_gives_nothing():
    assert pairs(TEXT, least=12, most=20) == []


def test_unusable_articles_stay_listed():
    bad = BadSample("file:2", "the article is empty")
    assert list(GapSentences(Given(bad)).articles()) == [bad]


@pytest.mark.parametrize("options", [{"sentences": 2}, {"least": 9, "most": 8}, {"passages": 0}])
def test_sizes_that_give_no_pair_are_refused(options):
    with pytest.raises(ValueError, match="must be at least"):
        GapSentences(Given(), **options)
