"""Scores of a toy language model against the formulas in plain loops."""

import json
from functools import partial
from math import exp, log, sqrt

import pytest
import torch

from modules.causal_lm.network import FromConfig, Pretrained
from modules.causal_lm.token_statistics import token_sums
from modules.detector.baseline import Baseline
from modules.detector.tfidf import Tfidf
from modules.detector.zero_shot import Binoculars, Entropy, FastDetectGPT, LogLikelihood, LogRank
from tests.conftest import TEXTS

OPTIONS = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 24,
    "initializer_range": 0.3,
}
SCORES = (LogLikelihood, LogRank, Entropy, FastDetectGPT, Binoculars)


def network(seed, tokenizer_size):
    torch.manual_seed(seed)
    return FromConfig(tokenizer_size, OPTIONS).eval()


def build(kind, folder, two=True, **more):
    other = partial(network, 2) if two else None
    return kind(partial(network, 1), str(folder), other, **more).double()


def distribution(model, ids):
    """Probabilities of the next token after some ids, in plain Python."""
    token = torch.tensor([ids])
    logits = model(token, torch.arange(len(ids))[None], [len(ids)])[0, -1].tolist()
    total = sum(exp(x) for x in logits)
    return [exp(x) / total for x in logits]


def loops(method, text, length):
    """All five scores of a text, token by token."""
    ids = method.tokenizer.encode(text, add_special_tokens=False)
    start = method.tokenizer.bos_token_id
    log_p = rank = entropy = mean = variance = 0.0
    for t, x in enumerate(ids):
        before = [start, *ids[t - t % length : t]]
        p, q = (distribution(model, before) for model in (method.model, method.reference))
        log_p += log(p[x])
        rank += log(1 + sum(probability > p[x] for probability in p))
        entropy -= sum(probability * log(probability) for probability in p)
        m = sum(b * log(a) for a, b in zip(p, q, strict=True))
        mean += m
        variance += sum(b * log(a) ** 2 for a, b in zip(p, q, strict=True)) - m * m
    return {
        LogLikelihood: log_p / len(ids),
        LogRank: -rank / len(ids),
        Entropy: entropy / len(ids),
        FastDetectGPT: (log_p - mean) / sqrt(variance),
        Binoculars: -(log_p / len(ids)) / (mean / len(ids)),
    }


@pytest.mark.parametrize("two", [True, False])
def test_scores_are_those_of_the_formulas_for_every_text_of_a_batch(tokenizer_folder, two):
    texts = [TEXTS[0], "A dog", " ".join(TEXTS[:3])]
    with torch.no_grad():
        wanted = [loops(build(LogLikelihood, tokenizer_folder, two), text, 10) for text in texts]
    for kind in SCORES:
        method = build(kind, tokenizer_folder, two, max_length=10, batch_size=2)
        scores = method.scores(texts)
        assert scores.tolist() == pytest.approx([by_kind[kind] for by_kind in wanted], rel=1e-4)


def test_batched_scores_are_those_of_single_texts(tokenizer_folder):
    texts = [*TEXTS[:3], "Rain", " ".join(TEXTS[:9])]
    method = build(FastDetectGPT, tokenizer_folder)
    single = torch.cat([method.scores([text]) for text in texts])
    assert torch.allclose(method.scores(texts), single, rtol=1e-9)


def test_a_text_without_tokens_has_no_score(tokenizer_folder):
    method = build(LogLikelihood, tokenizer_folder, two=False)
    scores = method.scores(["", TEXTS[0]])
    assert scores.isnan().tolist() == [True, False]


def test_rows_are_no_longer_than_the_models_context(tokenizer_folder):
    assert build(LogLikelihood, tokenizer_folder).max_length == 24


def test_with_one_model_the_mean_is_minus_the_entropy(tokenizer_folder):
    method = build(Binoculars, tokenizer_folder, two=False)
    ids = method.tokenizer([TEXTS[0]], add_special_tokens=False)["input_ids"]
    sums = token_sums(method.model, method.model, ids, 0, 24, 4)
    assert torch.allclose(sums.mean, -sums.entropy)


def test_models_of_different_vocabularies_are_refused(tokenizer_folder):
    other = {**OPTIONS, "vocab_size": 500}
    with pytest.raises(ValueError, match="the same tokens, got 300 and 500"):
        LogLikelihood(
            partial(network, 1), str(tokenizer_folder), partial(FromConfig, options=other)
        )


# TF-IDF, and what makes probabilities of scores


class Data:
    """Texts of two kinds; the machine's speak of a robot."""

    def __init__(self):
        self.texts = [f"{TEXTS[i % 3]} {'A robot says so.' if i % 2 else ''}" for i in range(60)]

    def labelled_texts(self, stage):
        assert stage == "train"
        return self.texts, [i % 2 for i in range(60)]

    def val_dataloader(self):
        for at in range(0, 60, 20):
            columns = {f"{name}_N": ["x"] * 20 for name in ("generator", "domain", "attack")}
            columns["paired_generator_N"] = ["x"] * 20
            yield {
                "text_N": self.texts[at : at + 20],
                "label_N": torch.arange(at, at + 20) % 2,
                "row_N": list(range(at, at + 20)),
                "pair_id_N": [str(i // 2) for i in range(at, at + 20)],
                "density_N": [0.25] * 20,
                "problem_N": [""] * 20,
                "num_targets": 20,
                **columns,
            }


@pytest.mark.parametrize("analyzer", ["char", "word"])
def test_tf_idf_finds_what_tells(analyzer):
    pytest.importorskip("sklearn")
    baseline = Baseline(partial(Tfidf, analyzer=analyzer, shortest=1))
    baseline.configure_model()
    baseline.prepare(Data())
    assert baseline.calibration.num_negative == 30
    assert baseline.calibration.false_positive_rate == 0
    assert baseline.calibration.least_density == baseline.calibration.most_density == 0.25
    texts = [TEXTS[0], "The robot ran.", ""]
    batch = {"num_targets": 3, "text_N": texts, "problem_N": ["", "", "empty"]}
    logits = baseline.logits(batch)
    assert torch.equal(logits[:2, 1], baseline.method.scores(texts[:2]))
    p = baseline.calibration.calibrated(logits).softmax(1)[:, 1]
    assert p[0] < 0.1
    assert p[1] > p[0]
    assert p[2].isnan()


def test_a_method_that_has_not_learnt_says_so():
    with pytest.raises(RuntimeError, match="not fitted"):
        Tfidf().scores(["text"])
    with pytest.raises(ValueError, match="has two classes, got 3"):
        Baseline(Tfidf, ["a", "b", "c"])


def test_two_models_whose_tokens_mean_other_things_are_refused_though_their_numbers_agree(
    tokenizer_folder, tmp_path
):
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    tokenizer = AutoTokenizer.from_pretrained(tokenizer_folder)
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1}
    config = LlamaConfig(**sizes, num_attention_heads=2, vocab_size=len(tokenizer))
    for name in ("one", "same", "other", "bare"):
        LlamaForCausalLM(config).save_pretrained(tmp_path / name)
        if name != "bare":
            tokenizer.save_pretrained(tmp_path / name)
    file = tmp_path / "other" / "tokenizer.json"
    held = json.loads(file.read_text())
    words = held["model"]["vocab"]
    first, second = list(words)[20:22]
    words[first], words[second] = words[second], words[first]
    file.write_text(json.dumps(held))

    def pair(scoring, reference, **more):
        models = [partial(Pretrained, source=str(tmp_path / n)) for n in (scoring, reference)]
        return FastDetectGPT(models[0], str(tmp_path / "one"), models[1], **more)

    assert pair("one", "same").scores([TEXTS[0]]).isfinite().all()
    with pytest.raises(ValueError, match=r"the reference model .*other was trained with other tok"):
        pair("one", "other")
    with pytest.raises(ValueError, match=r"the scoring model .*other was trained with other to"):
        pair("other", "one")
    with pytest.raises(ValueError, match=r"bare has no tokenizer .*: name it as `reference_token"):
        pair("one", "bare")
    assert pair("one", "bare", reference_tokenizer=str(tmp_path / "same")) is not None
    with pytest.raises(ValueError, match=r"2 of .* ids differ: 20 is"):
        pair("one", "bare", reference_tokenizer=str(tmp_path / "other"))
