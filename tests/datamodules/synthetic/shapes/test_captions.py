from random import Random

import pytest

from datamodules.synthetic.shapes.captions import (
    CALLED,
    FRAMES,
    WORDINGS,
    ShapeCaptions,
    caption,
    numbered_caption,
    parse,
)
from datamodules.synthetic.shapes.scenes import (
    COLOURS,
    FORMS,
    HELD_OUT,
    PLACES,
    RADII,
    Shape,
    scene,
)

RED = Shape("red", "cross", "small", "right")
GREEN = Shape("green", "ring", "large", "bottom")


@pytest.mark.parametrize(
    ("text", "shapes"),
    [
        ("a small red cross on the right", (RED,)),
        ("there is a small red cross on the right side", (RED,)),
        ("a picture of a large green ring at the bottom", (GREEN,)),
        ("at the bottom is a large green ring", (GREEN,)),
        (
            "there is a small red cross on the right and a large green ring at the bottom",
            (RED, GREEN),
        ),
        (
            "at the bottom is a large green ring and on the right side is a small red cross",
            (GREEN, RED),
        ),
    ],
)
def test_captions_mean_what_they_say(text, shapes):
    assert parse(text) == shapes


def test_every_caption_is_read_back_exactly():
    rng = Random(0)
    for index in range(3000):
        drawn = scene(0, index, "all")
        shapes = parse(caption(drawn, rng))
        assert len(shapes) == len(drawn.shapes)
        assert {*shapes} == {*drawn.shapes}


def test_captions_use_every_wording_and_both_orders():
    rng, drawn = Random(0), scene(0, 0, num_shapes=2)
    texts = {caption(drawn, rng) for _ in range(2000)}
    called = 1
    for shape in drawn.shapes:
        called *= len(WORDINGS[shape.place])
    assert len(texts) == len(FRAMES) * 2 * called
    assert {parse(text) for text in texts} == {drawn.shapes, drawn.shapes[::-1]}


def test_captions_need_few_words_and_no_capitals():
    texts = [numbered_caption(0, index) for index in range(3000)]
    words = {word for text in texts for word in text.split()}
    assert words > {*COLOURS, *FORMS, *RADII}
    assert len(words) == 33
    assert all(word.isalpha() and word.islower() for word in words)
    assert max(len(text.split()) for text in texts) == 22


def test_every_position_has_its_own_words():
    assert {*WORDINGS} == {*PLACES}
    assert len(CALLED) == sum(len(wordings) for wordings in WORDINGS.values())


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a small red cross",
        "a red small cross on the right",
        "a small red cross on the right and",
        "a small red cross on the right and on the left",
        "there is on the right is a small red cross",
        "A small red cross on the right",
        "a small red cross on the right ",
        "a small red cross on the right on the right",
    ],
)
def test_text_outside_the_grammar_is_refused(text):
    with pytest.raises(ValueError, match=r"not a caption of shapes: '"):
        parse(text)


def test_the_source_gives_its_captions_in_a_fixed_order():
    source = ShapeCaptions(5, seed=3)
    documents = list(source.documents())
    assert documents == list(ShapeCaptions(5, seed=3).documents())
    assert [document.text for document in documents] == [numbered_caption(3, i) for i in range(5)]
    assert documents[4].origin == "captions:5:3:all:5"


def test_the_part_decides_which_pairs_occur():
    def pairs(part):
        texts = (document.text for document in ShapeCaptions(2000, part=part).documents())
        return {(shape.colour, shape.form) for text in texts for shape in parse(text)}

    assert len(pairs("all")) == 40
    assert len(pairs("train")) == 32
    assert not pairs("train") & {*HELD_OUT}


def test_the_fingerprint_distinguishes_the_parameters():
    sources = [ShapeCaptions(n, s, p) for n in (1, 2) for s in (0, 1) for p in ("all", "train")]
    assert len({source.fingerprint() for source in sources}) == 8
    assert ShapeCaptions(1, weight=2.0).fingerprint() == ShapeCaptions(1).fingerprint()


def test_no_caption_at_all_is_refused():
    with pytest.raises(ValueError, match="num must be at least 1, got 0"):
        ShapeCaptions(0)


def test_restated_captions_are_of_the_same_scene():
    texts = [document.text for document in ShapeCaptions(400, restated=0.5).documents()]
    plain = [document.text for document in ShapeCaptions(400).documents()]
    lengths = set()
    for text, first in zip(texts, plain, strict=True):
        sentences = text.split(". ")
        assert sentences[0] == first
        assert all({*parse(s)} == {*parse(first)} for s in sentences)
        lengths.add(len(sentences))
    assert lengths == {1, 2, 3, 4}
    restated = sum(". " in text for text in texts)
    assert 150 < restated < 250
    assert ShapeCaptions(9).fingerprint() != ShapeCaptions(9, restated=0.5).fingerprint()


def test_a_share_of_restated_captions_that_is_no_probability_is_refused():
    with pytest.raises(ValueError, match=r"within \[0, 1\], got 2"):
        ShapeCaptions(1, restated=2)


def test_a_repetition_has_words_of_its_clause_and_leaves_the_caption_unchanged():
    plain = [document.text for document in ShapeCaptions(400).documents()]
    texts = [document.text for document in ShapeCaptions(400, repeated=0.5).documents()]
    repeated = 0
    for text in texts:
        for clause in text.removeprefix("there is ").removeprefix("a picture of ").split(" and "):
            words = clause.split()
            once = next(n for n in range(len(words), 0, -1) if is_clause(" ".join(words[:n])))
            assert {*words[once:]} <= {*words[:once], "centre"}
            assert len({*words[once:]}) == len(words[once:])
            repeated += once < len(words)
    clauses = sum(1 + text.count(" and ") for text in plain)
    assert 0.4 < repeated / clauses < 0.6
    assert ShapeCaptions(9).fingerprint() != ShapeCaptions(9, repeated=0.5).fingerprint()


def is_clause(text):
    try:
        return len(parse(text)) == 1
    except ValueError:
        return False


def test_without_repetitions_captions_are_unchanged():
    shown = scene(0, 3)
    assert caption(shown, Random("x")) == caption(shown, Random("x"), 0.0)
