import re

import pytest

from datamodules.synthetic.stories.source import PLOTS, StoryText, story
from datamodules.synthetic.stories.vocabulary import (
    BOYS,
    COLOURS,
    FRUITS,
    GIRLS,
    NUMBERS,
    THINGS,
    Teller,
)


def plot_text(plot: int, seed: int) -> str:
    from random import Random

    return " ".join(PLOTS[plot](Teller(Random(seed))))


def test_a_story_is_the_same_each_time():
    assert story(3, 5) == story(3, 5)
    assert story(3, 5) != story(3, 6)


def test_stories_of_two_seeds_are_disjoint():
    train = {document.text for document in StoryText(5000, seed=0).documents()}
    test = {document.text for document in StoryText(5000, seed=1).documents()}
    assert len(train) >= 4995
    assert not train & test


def test_stories_use_hundreds_of_words():
    words = {word for i in range(3000) for word in re.findall(r"[a-z]+", story(0, i).lower())}
    assert len(words) > 400


@pytest.mark.parametrize("plot", range(len(PLOTS)), ids=[plot.__name__ for plot in PLOTS])
def test_a_story_has_five_to_nine_clean_sentences(plot):
    from random import Random

    for seed in range(200):
        sentences = PLOTS[plot](Teller(Random(seed)))
        assert 5 <= len(sentences) <= 9
        for sentence in sentences:
            assert sentence[0].isupper() or sentence[0] == '"'
            assert sentence.rstrip('"')[-1] in ".!?"
            assert sentence.count('"') % 2 == 0
            assert "{" not in sentence
            assert "  " not in sentence
            assert not re.search(r"\ba [aeio]", sentence), sentence


@pytest.mark.parametrize("plot", range(len(PLOTS)), ids=[plot.__name__ for plot in PLOTS])
def test_pronouns_agree_with_the_only_child_of_a_story(plot):
    for seed in range(200):
        text = plot_text(plot, seed)
        children = {name for name in GIRLS + BOYS if re.search(rf"\b{name}\b", text)}
        pronouns = set(re.findall(r"\b(he|she|his|her|him)\b", text.lower()))
        if children <= set(GIRLS):
            assert not pronouns & {"he", "his", "him"}
        if children <= set(BOYS):
            assert not pronouns & {"she", "her"}


def test_what_is_found_is_what_was_lost():
    for seed in range(200):
        text = plot_text(0, seed)
        pairs = set(re.findall(rf"({'|'.join(COLOURS)}) ({'|'.join(THINGS)})\b", text))
        assert len(pairs) == 1


def test_shared_fruit_adds_up():
    for seed in range(200):
        text = plot_text(1, seed)
        numbers = "|".join(NUMBERS[1:])
        had = re.search(rf"with ({numbers}) ({'|'.join(FRUITS)})", text)
        gave = re.search(rf"gave \w+ ({numbers})", text)
        kept = re.search(rf"(?:Now \w+ had|kept) ({numbers})", text)
        assert had is not None
        assert gave is not None
        assert kept is not None
        given, left = NUMBERS.index(gave[1]), NUMBERS.index(kept[1])
        assert NUMBERS.index(had[1]) == given + left


def test_the_fingerprint_distinguishes_the_parameters():
    prints = {StoryText(n, seed).fingerprint() for n in (1, 2) for seed in (0, 1)}
    assert len(prints) == 4
    assert StoryText(1, 0, weight=2.0).fingerprint() == StoryText(1, 0).fingerprint()


def test_no_story_at_all_is_refused():
    with pytest.raises(ValueError, match="at least 1"):
        StoryText(0)
