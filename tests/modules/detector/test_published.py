"""Encoders and classifiers that others have trained."""

import json

import pytest
import torch

from modules.causal_lm.tokens.same_tokens import check_tokens, own_tokenizer
from modules.classifier.network import FromConfig, Pretrained
from modules.detector.baseline import Baseline
from modules.detector.published import Published

SIZES = {
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "max_position_embeddings": 40,
}
CLASSES = ["human", "machine"]
TEXTS = ["the cat sat under the moon", "rain fell", " ".join(["the old house"] * 40)]


@pytest.fixture(scope="module")
def published(tmp_path_factory, tokenizer_folder):
    """Writes a folder with a small classifier whose outputs have these names."""
    from transformers import AutoTokenizer, RobertaConfig, RobertaForSequenceClassification

    tokenizer = AutoTokenizer.from_pretrained(tokenizer_folder)

    def write(*names, is_base=False):
        folder = tmp_path_factory.mktemp("published")
        torch.manual_seed(0)
        config = RobertaConfig(
            **SIZES,
            vocab_size=len(tokenizer),
            pad_token_id=tokenizer.pad_token_id or 0,
            id2label=dict(enumerate(names)),
            label2id={name: i for i, name in enumerate(names)},
            initializer_range=0.5,
        )
        model = RobertaForSequenceClassification(config)
        (model.roberta if is_base else model).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        return str(folder)

    return write


def build(source, classes=CLASSES, **more):
    tokenizer = own_tokenizer(source)
    return Pretrained(len(tokenizer), tokenizer.pad_token_id or 0, classes, source, **more).eval()


def raw(source):
    """Logits of the file's own outputs for some ids."""
    from transformers import AutoModelForSequenceClassification

    model = AutoModelForSequenceClassification.from_pretrained(source).eval()
    return model(torch.arange(5, 15)[None]).logits


def said(network):
    with torch.no_grad():
        return network(torch.arange(5, 15)[None], torch.ones(1, 10, dtype=torch.bool))


@pytest.mark.parametrize(
    ("names", "order"),
    [
        (("Fake", "Real"), [1, 0]),
        (("Real", "Fake"), [0, 1]),
        (("HUMAN", "Machine"), [0, 1]),
        (("ChatGPT", "Human"), [1, 0]),
        (("AI-generated", "human-written"), [1, 0]),
    ],
)
def test_the_outputs_of_a_head_are_the_classes_that_their_names_mean(published, names, order):
    source = published(*names)
    network = build(source)
    assert torch.allclose(said(network), raw(source)[:, order], atol=1e-6)


def test_an_export_writes_the_true_meaning_of_its_outputs(published, tmp_path):
    source = published("Fake", "Real")
    network = build(source)
    network.export(tmp_path, own_tokenizer(source), CLASSES)
    written = json.loads((tmp_path / "config.json").read_text())
    assert written["id2label"] == {"0": "machine", "1": "human"}
    assert torch.allclose(raw(tmp_path), raw(source))
    assert torch.allclose(said(build(str(tmp_path))), said(network))
    assert torch.allclose(network.probe_logits_of(tmp_path), network.probe_logits(), atol=1e-6)


def test_names_that_say_nothing_must_be_told_and_are_then_taken(published):
    source = published("LABEL_0", "LABEL_1")
    with pytest.raises(ValueError, match=r"has the classes LABEL_0, LABEL_1, not human, m"):
        build(source)
    detector = build(source, labels={"LABEL_0": "machine", "LABEL_1": "human"})
    assert torch.allclose(said(detector), raw(source)[:, [1, 0]], atol=1e-6)
    for labels, message in [
        ({"LABEL_2": "human"}, "labels names LABEL_2, but the head of .* has LABEL_0, LABEL_1"),
        ({"LABEL_0": "bot"}, "labels means bot, but the classes are human, machine"),
        ({"LABEL_0": "human", "LABEL_1": "human"}, "say what each means by `labels`"),
    ]:
        with pytest.raises(ValueError, match=message):
            build(source, labels=labels)


def test_a_head_of_other_classes_is_refused_and_may_be_made_anew(published):
    source = published("NEGATIVE", "POSITIVE")
    with pytest.raises(ValueError, match=r"NEGATIVE, POSITIVE, not.*new_head: true"):
        build(source)
    fresh = build(source, new_head=True)
    known = build(source, labels={"NEGATIVE": "human", "POSITIVE": "machine"})
    own, other = dict(fresh.model.named_parameters()), dict(known.model.named_parameters())
    same = {name.split(".")[0] for name in own if torch.equal(own[name], other[name])}
    assert not torch.equal(own["classifier.dense.weight"], other["classifier.dense.weight"])
    assert not torch.equal(own["classifier.out_proj.weight"], other["classifier.out_proj.weight"])
    assert all(torch.equal(own[n], other[n]) for n in own if n.startswith("roberta."))
    assert "roberta" in same
    assert all(torch.isfinite(tensor).all() for tensor in own.values())


def test_an_encoder_and_a_head_of_another_number_of_classes_get_a_new_head(published):
    for source in (published("a", "b", is_base=True), published("left", "center", "right")):
        network = build(source)
        assert network.order is None
        assert said(network).shape == (1, 2)
    with pytest.raises(ValueError, match="no head of 2 classes that is kept: left, center, right"):
        build(published("left", "center", "right"), labels={"left": "human"})


def test_a_published_detector_scores_texts_as_its_own_model_does(published):
    source = published("Fake", "Real")
    method = Published(source, max_length=20).eval()
    scores = method.scores(TEXTS)
    tokenizer = own_tokenizer(source)
    ids = tokenizer(TEXTS[0])["input_ids"]
    from transformers import AutoModelForSequenceClassification

    model = AutoModelForSequenceClassification.from_pretrained(source).eval()
    fake, real = model(torch.tensor([ids])).logits[0].tolist()
    assert scores[0].item() == pytest.approx(fake - real, rel=1e-4)
    assert len(method.windows(TEXTS)[0]) == sum(method.windows(TEXTS)[1]) > 3
    assert torch.allclose(scores[1:], method.scores(TEXTS[1:]), atol=1e-5)
    assert Baseline(lambda: method).build() is method
    with pytest.raises(ValueError, match="has no head with the classes human and machine"):
        Published(published("a", "b", is_base=True))


# Attention and positions


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("deberta-v2", {**SIZES, "relative_attention": True, "pos_att_type": ["c2p", "p2c"]}),
        ("gpt_neo", {"hidden_size": 16, "num_layers": 1, "num_heads": 2, "window_size": 8}),
        ("mpnet", SIZES),
        ("ibert", SIZES),
        ("roberta", SIZES),
        ("esm", {**SIZES, "position_embedding_type": "absolute"}),
        ("bert", SIZES),
    ],
)
def test_an_architecture_attends_as_it_can_and_reads_as_many_tokens_as_it_says(kind, options):
    if kind == "gpt_neo":
        options = {**options, "attention_layers": ["global"], "max_position_embeddings": 40}
        options["attention_types"] = [[["global"], 1]]
    network = FromConfig(50, 1, CLASSES, options, model_type=kind).eval()
    longest = network.context
    assert longest in (38, 40)
    ids = torch.randint(5, 50, (2, longest))
    with torch.no_grad():
        logits = network(ids, torch.ones_like(ids).bool())
    assert logits.shape == (2, 2)
    assert torch.isfinite(logits).all()


def test_an_attention_that_an_architecture_lacks_is_refused_in_a_sentence():
    with pytest.raises(ValueError, match="mpnet has no attention 'sdpa': leave `attention` out"):
        FromConfig(50, 1, CLASSES, SIZES, model_type="mpnet", attention="sdpa")


# Tokens


def test_tokens_are_compared_by_what_they_are_and_not_by_their_number(tokenizer_folder):
    from transformers import AutoTokenizer

    first, other = (AutoTokenizer.from_pretrained(tokenizer_folder) for _ in "ab")
    check_tokens(first, other, "m")
    names = first.convert_ids_to_tokens(range(len(first)))
    other.convert_ids_to_tokens = lambda ids: [*names[:-1][::-1], names[-1]]
    with pytest.raises(ValueError, match=r"m was trained with other tokens than .*: \d+ of \d+"):
        check_tokens(first, other, "m")
    longer = AutoTokenizer.from_pretrained(tokenizer_folder)
    longer.add_tokens(["<new>"])
    check_tokens(first, longer, "m")
    check_tokens(longer, first, "m", may_add=True)
    with pytest.raises(ValueError, match=r"1 of .* ids differ: .* is '<new>' and nothing"):
        check_tokens(longer, first, "m")
