"""Copied fragments by brute force, and stances kept as a classifier reads them."""

import random

import pytest
import torch

from modules.decoding.evaluate import Answered
from modules.summariser.evaluate import Extractive, Length, StanceKept, fragments, wanted_of
from tests.fixtures.summarisers import ROBERTA, STANCES, WORDS, save_classifier, words


def longest_runs(article, summary):
    """Grusky et al. (2018), sec. 4: at each word of the summary the longest run shared, or none."""
    runs, at = [], 0
    while at < len(summary):
        sizes = [
            size
            for size in range(1, len(summary) - at + 1)
            for n in range(len(article) - size + 1)
            if article[n : n + size] == summary[at : at + size]
        ]
        best = max(sizes, default=0)
        if best:
            runs.append(summary[at : at + best])
        at += max(1, best)
    return runs


def figure_3(a, s):
    """Grusky et al. (2018), fig. 3, line by line: a match is not looked for within one before."""
    found, i = [], 0
    while i < len(s):
        longest, j = [], 0
        while j < len(a):
            if s[i] != a[j]:
                j += 1
                continue
            i_end, j_end = i, j
            while i_end < len(s) and j_end < len(a) and s[i_end] == a[j_end]:
                i_end, j_end = i_end + 1, j_end + 1
            if len(longest) < i_end - i:
                longest = s[i:i_end]
            j = j_end
        i += max(len(longest), 1)
        found += [longest] if longest else []
    return found


@pytest.mark.parametrize("num_words", [2, 4, 12])
def test_fragments_are_the_longest_shared_runs(num_words):
    rng = random.Random(num_words)
    for _ in range(100):
        article = rng.choices(WORDS[:num_words], k=rng.randint(0, 14))
        summary = rng.choices(WORDS[: num_words + 1], k=rng.randint(0, 10))
        assert fragments(article, summary) == longest_runs(article, summary)


def test_fragments_are_those_of_figure_3_where_no_word_of_the_article_repeats():
    rng = random.Random(0)
    for _ in range(200):
        article = rng.sample(WORDS, k=rng.randint(0, len(WORDS)))
        start = rng.randint(0, len(WORDS))
        summary = article[start : start + 4] + rng.choices(WORDS, k=rng.randint(0, 8))
        assert fragments(article, summary) == figure_3(article, summary)


def test_coverage_and_density_are_the_papers_sums_over_fragments():
    rng = random.Random(1)
    for _ in range(100):
        article = rng.choices(WORDS[:6], k=rng.randint(0, 14))
        summary = rng.choices(WORDS[:8], k=rng.randint(1, 10))
        sizes = [len(one) for one in longest_runs(article, summary)]
        found = Extractive().of(" ".join(article), " ".join(summary))
        assert found[0] == pytest.approx(sum(sizes) / len(summary))
        assert found[1] == pytest.approx(sum(one * one for one in sizes) / len(summary))


def test_copies_have_full_coverage_and_empty_summaries_none():
    measure = Extractive()
    assert measure.of("The cat sat, then ran.", "the cat sat,") == (1.0, 4.0)
    assert measure.of("The cat sat.", "dogs bark") == (0.0, 0.0)
    assert measure.of("The cat sat.", "") == (0.0, 0.0)
    assert Extractive(lower=False).of("The cat", "the cat") == (0.5, 0.5)
    answers = [Answered({"id": "a", "article": "a b c"}, "a b", [])]
    assert measure.score(answers) == {"coverage": [1.0], "density": [2.0]}


@pytest.fixture(scope="module")
def judge(tmp_path_factory):
    """A folder with a classifier, and the stance that it reads in some texts, one at a time."""
    folder = tmp_path_factory.mktemp("judge")
    tokenizer = words(folder, ROBERTA)
    model = save_classifier(folder, tokenizer)
    rng, read = random.Random(0), {}
    for length in list(range(1, 12)) * 6:
        text = " ".join(rng.choices(WORDS, k=length))
        ids = [0, *tokenizer(text, add_special_tokens=False)["input_ids"], 2]
        with torch.no_grad():
            read[text] = int(model(input_ids=torch.tensor([ids])).logits.argmax())
    assert set(read.values()) == {0, 1, 2}
    return str(folder), read


def texts_of(read, stance, num=3):
    return [text for text, one in read.items() if one == stance][:num]


def test_probabilities_ignore_the_batch(judge):
    folder, read = judge
    for size in (1, 7, 64):
        found = StanceKept(folder, batch_size=size).probabilities(list(read))
        assert found.argmax(-1).tolist() == list(read.values())
        torch.testing.assert_close(found.sum(-1), torch.ones(len(read)))
    assert StanceKept(folder).probabilities([]).shape == (0, 3)


def test_a_text_is_read_once(judge, monkeypatch):
    folder, read = judge
    measure, asked, computed = StanceKept(folder), [], StanceKept.computed
    monkeypatch.setattr(
        StanceKept, "computed", lambda self, texts: asked.extend(texts) or computed(self, texts)
    )
    some = list(read)[:4]
    first = measure.probabilities([*some, *some])
    torch.testing.assert_close(first[:4], first[4:], rtol=0, atol=0)
    assert measure.read([some[2], "the moon"])[0] == read[some[2]]
    assert asked == [*some, "the moon"]
    monkeypatch.setattr("modules.summariser.evaluate.REMEMBERED", 4)
    measure.read(some)
    assert asked == [*some, "the moon", *some]


def test_kept_and_distance_are_those_of_labels_made_by_hand(judge):
    folder, read = judge
    text = {stance: texts_of(read, number)[0] for number, stance in enumerate(STANCES)}
    answers, kept, distance = [], [], []
    for wanted in STANCES:
        for seen in STANCES:
            answers.append(Answered({"article": "", "stance": wanted, "asked": ""}, text[seen], []))
            kept.append(float(wanted == seen))
            distance.append(float(abs(STANCES.index(wanted) - STANCES.index(seen))))
    assert StanceKept(folder, name="guide").score(answers) == {
        "guide_kept": kept,
        "guide_distance": distance,
        "guide_distance_share": [one / 2 for one in distance],
    }


def test_the_stance_that_is_asked_for_counts_before_the_articles_own_and_that_before_a_reading(
    judge,
):
    folder, read = judge
    article = texts_of(read, 2)[0]
    cases = [("left", "center"), ("", "center"), ("", ""), ("", "unheard"), ("right", "")]
    answers = [
        Answered({"article": article, "asked": asked, "stance": own}, article, [])
        for asked, own in cases
    ]
    measure = StanceKept(folder)
    assert wanted_of(measure, answers) == [0, 1, 2, 2, 2]
    assert measure.score(answers)["judge_distance"] == [2, 1, 0, 0, 0]


def test_long_texts_are_cut_to_what_the_classifier_reads(judge):
    folder, _ = judge
    text = " ".join(WORDS * 20)
    whole = StanceKept(folder).probabilities([text])
    first = " ".join(text.split()[:60])  # of 62 positions, two are marks
    torch.testing.assert_close(StanceKept(folder).probabilities([first]), whole)
    short = StanceKept(folder, max_length=10).probabilities([text])
    first = " ".join(text.split()[:8])
    torch.testing.assert_close(StanceKept(folder).probabilities([first]), short)


def test_a_classifier_of_other_classes_or_without_a_tokenizer_is_refused(tmp_path):
    tokenizer = words(tmp_path / "two", ROBERTA)
    model = save_classifier(tmp_path / "two", tokenizer, labels=["human", "machine"])
    with pytest.raises(ValueError, match="no classifier of left, center, right"):
        StanceKept(str(tmp_path / "two")).probabilities(["the cat"])
    model.save_pretrained(tmp_path / "bare")
    with pytest.raises(ValueError, match="bare holds no tokenizer, so it cannot read texts"):
        StanceKept(str(tmp_path / "bare")).probabilities(["the cat"])


def test_no_answers_have_no_scores(judge):
    assert StanceKept(judge[0]).score([]) == {
        "judge_kept": [],
        "judge_distance": [],
        "judge_distance_share": [],
    }


def test_the_error_of_a_length_is_in_words_to_the_nearest_reference():
    known = ["The cat sat.", "A dog ran on and on."]
    answers = [
        Answered({}, "The cat sat on the mat.", known),  # 7 to 4 or 7
        Answered({}, "The cat", known[:1]),
        Answered({}, "", known),
        Answered({}, "The cat", []),
    ]
    found = Length().score(answers)
    assert found == {"length_error": [0, 2, 4], "length_empty": [0, 0, 1, 0]}
    assert list(Length.names) == list(found)
    letters = Length(words="[a-z]").score(answers[:1])
    assert letters["length_error"] == [3]  # 16 small letters, to 8 or 13
