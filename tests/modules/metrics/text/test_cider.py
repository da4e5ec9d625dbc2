import math

import pytest

from modules.metrics.text.cider import Cider, words

REFERENCES = [
    ["a red ring on the left", "there is a red ring at the left side"],
    ["a blue cross in the top right", "the cross is blue and small"],
    ["two green squares, one large and one small", "a large green square beside a small one"],
    ["a small red circle below a blue ring"],
]
CANDIDATES = [
    "a red ring on the left side",
    "a red red red ring",
    "large green square and a large green square",
    "blue",
]


def plain_cider(candidate: str, references: list[str], clipped: bool) -> float:
    """The paper's sums, one n-gram at a time, over words found by splitting at spaces."""

    def tokens(text: str) -> list[str]:
        return text.replace(",", "").split()

    def count(gram: list[str], text: str) -> int:
        all_words = tokens(text)
        return sum(all_words[i : i + len(gram)] == gram for i in range(len(all_words)))

    def weight(gram: list[str], text: str) -> float:
        num_texts = sum(any(count(gram, text) for text in texts) for texts in REFERENCES)
        return count(gram, text) * math.log(len(REFERENCES) / max(1, num_texts))

    total = 0.0
    for n in (1, 2, 3, 4):
        for reference in references:
            said, wanted = tokens(candidate), tokens(reference)
            grams = {
                tuple(text[i : i + n]) for text in (said, wanted) for i in range(len(text) - n + 1)
            }
            product = square_c = square_r = 0.0
            for gram in grams:
                c, r = weight(list(gram), candidate), weight(list(gram), reference)
                product += min(c, r) * r if clipped else c * r
                square_c, square_r = square_c + c * c, square_r + r * r
            if square_c and square_r:
                share = product / math.sqrt(square_c) / math.sqrt(square_r)
                gap = len(said) - len(wanted)
                share *= math.exp(-(gap**2) / 72) if clipped else 1
                total += 10 * share / 4 / len(references)
    return total


@pytest.mark.parametrize("candidate", CANDIDATES)
@pytest.mark.parametrize("number", range(4))
@pytest.mark.parametrize("is_d", [True, False])
def test_scores_are_the_papers_sums(candidate, number, is_d):
    cider = Cider.from_references(REFERENCES, sigma=6.0 if is_d else None)
    expected = plain_cider(candidate, REFERENCES[number], is_d)
    assert cider.score(candidate, REFERENCES[number]) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("sigma", [6.0, None])
def test_a_caption_equal_to_its_only_reference_has_the_maximum_of_ten(sigma):
    cider = Cider.from_references(REFERENCES, sigma=sigma)
    assert cider.score(REFERENCES[3][0], REFERENCES[3]) == pytest.approx(10)


def test_one_word_right_of_one_scores_a_quarter():
    """Single words and n = 1: cosine 1; of longer n-grams there are none."""
    cider = Cider.from_references([["ring"], ["cross"]])
    assert cider.score("ring", ["ring"]) == pytest.approx(2.5)
    assert cider.score("cross", ["ring"]) == 0


def test_two_words_by_hand():
    """Both words in 1 of 2 images: weights log 2; one of two right is a cosine of 1/2."""
    cider = Cider.from_references([["red ring"], ["blue cross"]], longest=1)
    assert cider.score("red cross", ["red ring"]) == pytest.approx(5)
    assert cider.score("red ring ring", ["red ring"]) == pytest.approx(
        10 * math.exp(-1 / 72) * 2 / math.sqrt(5 * 2)
    )
    plain = Cider.from_references([["red ring"], ["blue cross"]], longest=1, sigma=None)
    assert plain.score("red ring ring", ["red ring"]) == pytest.approx(10 * 3 / math.sqrt(10))


def test_words_of_every_image_and_a_single_image_say_nothing():
    cider = Cider.from_references([["a ring"], ["a cross"]], longest=1)
    assert cider.score("a", ["a ring"]) == 0
    assert Cider.from_references([["a ring"]]).score("a ring", ["a ring"]) == 0


def test_a_references_count_is_of_images_not_of_captions():
    cider = Cider.from_references([["a ring", "the ring"], ["a cross"]])
    assert cider.frequency[("ring",)] == 1
    assert cider.frequency[("a",)] == 2
    assert cider.num_images == 2


def test_the_mean_is_over_images():
    cider = Cider.from_references(REFERENCES)
    scores = [cider.score(c, r) for c, r in zip(CANDIDATES, REFERENCES, strict=True)]
    assert cider.mean(CANDIDATES, REFERENCES) == pytest.approx(sum(scores) / 4)


def test_an_empty_caption_scores_nothing_and_no_reference_is_refused():
    cider = Cider.from_references(REFERENCES)
    assert cider.score("", REFERENCES[0]) == 0
    with pytest.raises(ValueError, match="no reference for the caption 'ring'"):
        cider.score("ring", [])


def test_words_are_those_of_the_treebank_without_punctuation():
    assert words("A dog's T-shirt, isn't red!") == ["a", "dog", "'s", "t-shirt", "is", "n't", "red"]
    assert words("It costs 3.50 -- they'll pay...") == ["it", "costs", "3.50", "they", "'ll", "pay"]
