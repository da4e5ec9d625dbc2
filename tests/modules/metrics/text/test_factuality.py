import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from modules.metrics.text.factuality import Classifier, FactualityScorer, factuality
from tests.fixtures.tiny_encoders import save_bert, save_roberta

DOCUMENTS = ["the cat sat on the mat and saw the moon", "a dog ran", "the hill is red and big"]
SUMMARIES = ["cat saw moon", "the dog ran on a hill and on a mat", "red hill"]


@pytest.fixture(scope="module")
def bert(tmp_path_factory) -> str:
    return save_bert(tmp_path_factory.mktemp("bert"), num_labels=3)


class Length:
    """A scorer of the user's own."""

    def score(self, documents, summaries):
        assert all(summaries)
        pairs = zip(documents, summaries, strict=True)
        return [len(summary) / len(document) for document, summary in pairs]


def plain(path: str, first: str, second: str, label: int) -> float:
    """One pair at a time, without padding."""
    model = AutoModelForSequenceClassification.from_pretrained(path).eval()
    with torch.no_grad():
        logits = model(**AutoTokenizer.from_pretrained(path)(first, second, return_tensors="pt"))[0]
    return logits[0].softmax(0)[label].item()


@pytest.mark.parametrize("label", [0, 1, 2])
def test_scores_are_the_models_probabilities_of_each_pair(bert, label):
    scorer = Classifier(bert, label, batch_size=2, device="cpu")
    expected = [plain(bert, s, d, label) for d, s in zip(DOCUMENTS, SUMMARIES, strict=True)]
    assert scorer.score(DOCUMENTS, SUMMARIES) == pytest.approx(expected, abs=1e-6)
    assert scorer.num_cut == 0


def test_either_text_may_come_first(bert):
    scorer = Classifier(bert, order="document_first", device="cpu")
    expected = [plain(bert, d, s, 1) for d, s in zip(DOCUMENTS, SUMMARIES, strict=True)]
    scores = scorer.score(DOCUMENTS, SUMMARIES)
    assert scores == pytest.approx(expected, abs=1e-6)
    assert scores != pytest.approx(Classifier(bert, device="cpu").score(DOCUMENTS, SUMMARIES))


def test_of_long_pairs_the_end_of_the_longer_text_is_cut_and_they_are_counted(tmp_path):
    path = save_bert(tmp_path, positions=12, num_labels=2)
    scorer = Classifier(path, device="cpu")
    scores = scorer.score(DOCUMENTS, SUMMARIES)
    assert scorer.num_cut == 2
    # 3 marks and 9 words: 3 of the first summary, and 6 of its document
    expected = plain(path, SUMMARIES[0], " ".join(DOCUMENTS[0].split()[:6]), 1)
    assert scores[0] == pytest.approx(expected, abs=1e-6)
    scorer.score(DOCUMENTS[:1], SUMMARIES[:1])
    assert scorer.num_cut == 3


def test_a_roberta_is_fed_as_many_tokens_as_it_has_positions(tmp_path):
    path = save_roberta(tmp_path, positions=64, num_labels=2)
    scorer = Classifier(path, device="cpu")
    [score] = scorer.score(["word " * 100], ["a summary"])
    assert 0 < score < 1
    assert scorer.num_cut == 1


def test_a_tokenizer_may_come_from_elsewhere(bert, tmp_path):
    model = AutoModelForSequenceClassification.from_pretrained(bert)
    model.save_pretrained(tmp_path)
    scores = Classifier(str(tmp_path), tokenizer=bert, device="cpu").score(DOCUMENTS, SUMMARIES)
    assert scores == Classifier(bert, device="cpu").score(DOCUMENTS, SUMMARIES)


def test_empty_summaries_are_failures_in_the_mean(bert):
    summaries = ["", SUMMARIES[1], " \n"]
    result = factuality(Classifier(bert, device="cpu"), DOCUMENTS, summaries)
    expected = plain(bert, SUMMARIES[1], DOCUMENTS[1], 1)
    assert result.scores == pytest.approx([0, expected, 0], abs=1e-6)
    assert result.num_empty == 2
    assert result.mean == pytest.approx(expected / 3)
    assert factuality(Classifier("not loaded"), ["a"], [""]).mean == 0


def test_any_scorer_may_judge(bert):
    assert isinstance(Length(), FactualityScorer)
    assert isinstance(Classifier("not loaded"), FactualityScorer)
    assert factuality(Length(), ["abcd", "ab"], ["ab", ""]).scores == [0.5, 0]


def test_what_cannot_be_judged_is_refused(bert):
    class Silent:
        def score(self, documents, summaries):
            return []

    with pytest.raises(ValueError, match="gave 0 scores for 1 summaries"):
        factuality(Silent(), ["a"], ["b"])
    with pytest.raises(ValueError, match="1 summaries for 2 documents"):
        factuality(Length(), ["a", "b"], ["c"])
    with pytest.raises(ValueError, match="0 summaries for 0 documents"):
        factuality(Length(), [], [])
    with pytest.raises(ValueError, match="1 summaries for 2 documents"):
        Classifier(bert).score(["a", "b"], ["c"])
    with pytest.raises(ValueError, match="has 3 classes: label 3 says nothing"):
        Classifier(bert, label=3, device="cpu").score(["a"], ["b"])


def test_a_classifier_of_one_class_is_refused(tmp_path):
    with pytest.raises(ValueError, match="has 1 classes: label 0 says nothing"):
        Classifier(save_bert(tmp_path, num_labels=1), label=0, device="cpu").score(["a"], ["b"])
