import pytest

from modules.decoding.evaluate import Answered, BertPrecision, Faithful, Rouge, ShortAnswer

ANSWERS = [
    Answered({"article": "the cat sat on the mat"}, "early\nand more", ["early"]),
    Answered({"article": "a dog"}, "the late", ["early", "soon"]),
    Answered({"article": "a bird"}, " ", []),
]


def test_short_answers_without_references_are_passed_over():
    assert ShortAnswer("first_line").score(ANSWERS) == {"match_first_line": [1.0, 0.0]}
    assert ShortAnswer("exact").score(ANSWERS) == {"match_exact": [0.0, 0.0]}


def test_rouge_is_of_answers_with_references():
    scores = Rouge().score(ANSWERS)
    assert scores["rouge_1"] == pytest.approx([0.5, 0.0])
    assert set(scores) == set(Rouge().names)


def test_stems_and_lines_are_asked_for_by_yaml():
    answers = [Answered({}, "rain fell\nthe cats ran", ["the cat ran\nrain fell"])]
    scores = Rouge(kinds=["rouge_lsum"], stemmer=True).score(answers)
    assert scores == {"rouge_lsum": [1.0]}
    assert Rouge(kinds=["rouge_lsum", "rouge_1"]).names == ["rouge_lsum", "rouge_1"]
    assert Rouge(words=r"\w").score([Answered({}, "北京市", ["北京"])])["rouge_1"] == [0.8]


class LongerIsTruer:
    def score(self, documents, summaries):
        return [len(summary) / 100 for summary in summaries]


def test_an_empty_answer_is_not_faithful_and_is_counted():
    measure = Faithful(LongerIsTruer())
    assert measure.score(ANSWERS) == {
        "factuality": [0.14, 0.08, 0.0],
        "factuality_empty": [0.0, 0.0, 1.0],
    }
    assert list(measure.score(ANSWERS)) == list(measure.names)


class Precise:
    """Scores as a BERTScore of which one text was cut."""

    def score(self, candidates, references):
        import torch

        from modules.metrics.text.bert_score import BertScores

        assert references == [answer.question["article"] for answer in ANSWERS]
        half = torch.full((len(candidates),), 0.5)
        return BertScores(half, half, half, 1, 1)


def test_precision_is_against_the_article_and_cut_texts_are_told():
    measure = BertPrecision("nowhere", layer=1)
    measure.scorer = Precise()
    scores = measure.score(ANSWERS)
    assert scores["bert_precision"] == [0.5] * 3
    assert scores["bert_precision_empty"] == [0.0, 0.0, 1.0]
    assert sum(scores["bert_precision_cut"]) == pytest.approx(1)
