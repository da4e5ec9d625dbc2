import importlib.util
import math
from functools import cache

import pytest
import torch
from transformers import AutoModel, AutoTokenizer

from modules.metrics.text.bert_score import BertScore, Embedded, greedy_match, rarity
from tests.fixtures.tiny_encoders import save_bert, save_roberta, save_t5

CANDIDATES = ["the cat sat on the mat", "red dog", "a big moon and a small hill saw the red cat"]
REFERENCES = ["a cat sat on a red mat", "the blue dog ran on the hill and saw the moon", "big hill"]


@pytest.fixture(scope="module")
def bert(tmp_path_factory) -> str:
    return save_bert(tmp_path_factory.mktemp("bert"))


@pytest.fixture(scope="module")
def roberta(tmp_path_factory) -> str:
    return save_roberta(tmp_path_factory.mktemp("roberta"))


@cache
def plain_parts(path: str):
    """Tokenizer, and encoder in double precision."""
    return AutoTokenizer.from_pretrained(path), AutoModel.from_pretrained(path).double().eval()


def plain_score(
    path: str, candidate: str, reference: str, layer: int, idf: bool, match_special: bool
) -> tuple[float, float]:
    """Section 3 of the paper, one token at a time, in double precision."""
    tokenizer, model = plain_parts(path)
    special = set(tokenizer.all_special_ids)

    def read(text):
        ids = tokenizer(text)["input_ids"]
        with torch.no_grad():
            states = model(torch.tensor([ids]), output_hidden_states=True).hidden_states
        return list(zip(ids, states[layer][0], strict=True))

    def weight(token):
        if not idf:
            return 1.0
        holding = sum(token in tokenizer(text)["input_ids"] for text in REFERENCES)
        return -math.log((holding + 1) / (len(REFERENCES) + 1))

    def cosine(x, y):
        return (x @ y / x.norm() / y.norm()).item()

    def mean_of_best(first, second):
        total = count = 0.0
        for token, x in first:
            if token not in special:
                likes = [cosine(x, y) for t, y in second if match_special or t not in special]
                total += weight(token) * max(likes)
                count += weight(token)
        return total / count

    first, second = read(candidate), read(reference)
    return mean_of_best(first, second), mean_of_best(second, first)


@pytest.mark.parametrize("match_special", [True, False])
@pytest.mark.parametrize("idf", [False, True])
@pytest.mark.parametrize("layer", [0, 2, 3])
def test_scores_are_those_of_the_double_loop(bert, layer, idf, match_special):
    scorer = BertScore(bert, layer, idf, match_special, device="cpu", batch_size=2)
    scores = scorer.score(CANDIDATES, REFERENCES)
    for i, pair in enumerate(zip(CANDIDATES, REFERENCES, strict=True)):
        precision, recall = plain_score(bert, *pair, layer, idf, match_special)
        assert scores.precision_N[i].item() == pytest.approx(precision, abs=1e-5)
        assert scores.recall_N[i].item() == pytest.approx(recall, abs=1e-5)
        f1 = 2 * precision * recall / (precision + recall)
        assert scores.f1_N[i].item() == pytest.approx(f1, abs=1e-5)
    assert (scores.num_cut, scores.num_empty) == (0, 0)


def test_byte_level_texts_are_read_as_if_a_space_stood_before_them(roberta):
    scores = BertScore(roberta, 2, device="cpu").score(["cat sat "], ["the cat"])
    precision, recall = plain_score(roberta, " cat sat", " the cat", 2, False, True)
    assert scores.precision_N.item() == pytest.approx(precision, abs=1e-5)
    assert scores.recall_N.item() == pytest.approx(recall, abs=1e-5)


@pytest.mark.skipif(importlib.util.find_spec("torchmetrics") is None, reason="needs torchmetrics")
@pytest.mark.parametrize("idf", [False, True])
def test_scores_without_special_tokens_are_those_of_torchmetrics(bert, tmp_path, idf):
    """Of an encoder without negative cosines, for which torchmetrics takes 0."""
    from torchmetrics.functional.text.bert import bert_score

    tokenizer, model = AutoTokenizer.from_pretrained(bert), AutoModel.from_pretrained(bert).eval()
    for name, parameter in model.named_parameters():
        if name.endswith("LayerNorm.bias"):
            torch.nn.init.ones_(parameter)
    for part in (tokenizer, model):
        part.save_pretrained(tmp_path)

    def states(model, batch):
        inputs = batch["input_ids"], batch["attention_mask"]
        return model(*inputs, output_hidden_states=True).hidden_states[2]

    scorer = BertScore(str(tmp_path), 2, idf, match_special=False, device="cpu")
    for candidate in CANDIDATES:  # one at a time: torchmetrics sorts texts by their lengths
        pairs = [candidate] * 3, REFERENCES
        options = {"user_tokenizer": tokenizer, "user_forward_fn": states, "max_length": 24}
        theirs = bert_score(*pairs, model=model, idf=idf, **options)
        ours = scorer.score(*pairs)
        for name, values in (("precision", ours.precision_N), ("f1", ours.f1_N)):
            assert values.min() > 0
            torch.testing.assert_close(values.sort()[0], theirs[name].sort()[0], msg=name)


def test_a_text_matches_itself_fully_and_in_any_company(bert):
    scorer = BertScore(bert, 3, device="cpu", batch_size=2)
    scores = scorer.score(CANDIDATES + CANDIDATES, CANDIDATES + REFERENCES)
    torch.testing.assert_close(scores.f1_N[:3], torch.ones(3))
    alone = [scorer.score([c], [r]) for c, r in zip(CANDIDATES, REFERENCES, strict=True)]
    torch.testing.assert_close(
        scores.f1_N[3:], torch.cat([scores_alone.f1_N for scores_alone in alone])
    )


def test_exchanging_the_texts_exchanges_precision_and_recall(bert):
    scorer = BertScore(bert, 1, device="cpu")
    there, back = scorer.score(CANDIDATES, REFERENCES), scorer.score(REFERENCES, CANDIDATES)
    torch.testing.assert_close(there.precision_N, back.recall_N)
    torch.testing.assert_close(there.f1_N, back.f1_N)


def test_a_summary_out_of_an_article_is_precise_at_the_level_of_embeddings(tmp_path):
    """Layer 0 without positions: every word of the summary is in the article."""
    article = "the cat sat on the mat and saw the moon"
    scores = BertScore(save_t5(tmp_path), 0, device="cpu").score(["cat saw moon"], [article])
    assert scores.precision_N.item() == pytest.approx(1, abs=1e-6)
    assert scores.recall_N.item() < 0.99


def test_empty_texts_score_nothing_and_are_counted(bert, roberta):
    for path in (bert, roberta):
        scores = BertScore(path, 2, device="cpu").score(["", "cat", " \n"], ["cat", "cat", ""])
        assert scores.num_empty == 2
        assert scores.f1_N.tolist() == pytest.approx([0, 1, 0])
        assert scores.precision_N.tolist() == pytest.approx([0, 1, 0])


def test_long_articles_are_cut_to_what_the_encoder_holds_and_counted(tmp_path):
    path = save_bert(tmp_path, positions=10)
    scorer = BertScore(path, 2, device="cpu")
    long = "the cat sat on the mat and saw the moon and ran"
    scores = scorer.score(["red cat", "red cat", long], [long, "cat", long])
    assert scores.num_cut == 3
    kept = " ".join(long.split()[:8])
    torch.testing.assert_close(scores.f1_N[0], scorer.score(["red cat"], [kept]).f1_N[0])
    assert (
        BertScore(path, 2, max_length=6, device="cpu").score(["a cat"], ["cat " * 5]).num_cut == 1
    )


def test_positions_of_roberta_begin_behind_its_padding(tmp_path):
    """64 positions, 2 of which are never used: 62 tokens fit, 60 of them bytes of the text."""
    scorer = BertScore(save_roberta(tmp_path, positions=64), 2, device="cpu")
    assert scorer.score(["a" * 59], ["b"]).num_cut == 0
    assert scorer.score(["a" * 60], ["b"]).num_cut == 1


def test_of_an_encoder_decoder_the_encoder_is_taken(tmp_path):
    path = save_t5(tmp_path)
    scores = BertScore(path, 2, device="cpu").score(CANDIDATES, REFERENCES)
    model, tokenizer = AutoModel.from_pretrained(path).encoder, AutoTokenizer.from_pretrained(path)
    states = [
        model(**tokenizer(text, return_tensors="pt"), output_hidden_states=True).hidden_states[2][0]
        for text in (CANDIDATES[1], REFERENCES[1])
    ]
    first, second = (state / state.norm(dim=1, keepdim=True) for state in states)
    expected = (first @ second.T).amax(1)[1:-1].mean()
    torch.testing.assert_close(scores.precision_N[1], expected)


def test_tokens_that_are_padding_match_nothing():
    vector = torch.tensor([[[1.0, 0.0], [-1.0, 0.0]]])
    first = Embedded(vector, torch.tensor([[True, False]]), torch.tensor([[1.0, 0.0]]))
    second = Embedded(-vector, torch.tensor([[True, False]]), torch.tensor([[1.0, 0.0]]))
    precision, recall = greedy_match(first, second)
    assert (precision.item(), recall.item()) == (-1, -1)


def test_rare_tokens_weigh_more_and_those_of_all_references_nothing():
    weight = rarity([[1, 2, 2], [1, 3]], 5)
    expected = [math.log(3), 0.0, math.log(1.5), math.log(1.5), math.log(3)]
    torch.testing.assert_close(weight, torch.tensor(expected))


def test_what_cannot_be_scored_is_refused(bert):
    scorer = BertScore(bert, 2, device="cpu")
    with pytest.raises(ValueError, match="1 candidates for 2 references"):
        scorer.score(["a"], ["a", "b"])
    with pytest.raises(ValueError, match="0 candidates"):
        scorer.score([], [])
    with pytest.raises(ValueError, match="idf needs at least 2 references, got 1"):
        BertScore(bert, 2, idf=True, device="cpu").score(["a"], ["a"])
    with pytest.raises(ValueError, match=r"must be within \[0, 3\], got 4"):
        BertScore(bert, 4, device="cpu").score(["a"], ["a"])


def test_nothing_is_loaded_before_the_first_score():
    assert BertScore("no such folder", 2).path == "no such folder"
