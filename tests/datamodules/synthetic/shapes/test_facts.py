from collections import defaultdict
from random import Random

import pytest

from datamodules.synthetic.shapes.facts import COLOURED, PLACED, SIZES, TRAITS, ShapeFacts, sentence
from datamodules.synthetic.shapes.scenes import COLOURS, FORMS, PLACES, RADII


def test_every_word_of_a_scene_is_distinguished_from_similar_ones():
    assert {*COLOURED} == {*COLOURS}
    assert {*TRAITS} == {*FORMS}
    assert {*SIZES} == {*RADII}
    assert {*PLACED} == {word for place in PLACES for word in place.split()} | {"middle"}
    for words in (COLOURED, TRAITS, SIZES, PLACED):
        phrases = [phrase for some in words.values() for phrase in some]
        assert len({*phrases}) == len(phrases)


def test_all_sentences_are_true():
    rng = Random(0)
    meant = {**COLOURED, **SIZES, **PLACED, **TRAITS}
    seen = defaultdict(set)
    for _ in range(3000):
        text = sentence(rng)
        (word,) = [w for w in meant if w in text.rstrip(".").split()]
        (phrase,) = [phrase for phrase in meant[word] if phrase in text]
        assert text.endswith(".")
        seen[word].add(phrase)
    assert {word: {*phrases} for word, phrases in meant.items()} == seen


def test_documents_are_deterministic_and_other_seeds_give_others():
    first, again = ([d.text for d in ShapeFacts(20).documents()] for _ in range(2))
    assert first == again
    assert first != [d.text for d in ShapeFacts(20, seed=1).documents()]
    assert all(4 <= text.count(".") <= 8 for text in first)
    assert ShapeFacts(20).fingerprint() != ShapeFacts(20, seed=1).fingerprint()


def test_no_sentences_are_refused():
    with pytest.raises(ValueError, match="num must be at least 1, got 0"):
        ShapeFacts(0)
