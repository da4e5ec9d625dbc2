"""Classifiers that read mixtures of tokens, of our vocabulary and of others."""

import pytest
import torch
from torch.nn import functional as F

from modules.summariser.marks import Marks
from modules.summariser.steering.guide import Guide, counterparts
from tests.fixtures.summarisers import (
    BERT,
    FAMILIES,
    ROBERTA,
    STANCES,
    WORDS,
    save_classifier,
    words,
)


def texts(tokenizer):
    """Summaries of 5, 3 and 1 tokens as one-hot shares, padded, and their tokens."""
    torch.manual_seed(0)
    marks = Marks.of(tokenizer)
    token = torch.randint(5, len(tokenizer), (3, 6))
    for b, length in enumerate((5, 3, 1)):
        token[b, length], token[b, length + 1 :] = marks.end, marks.pad
    return token, F.one_hot(token, len(tokenizer)).float()


def articles(tokenizer):
    token = torch.randint(5, len(tokenizer), (3, 7))
    token[:, 0] = Marks.of(tokenizer).start
    mask = torch.arange(7) < torch.tensor([7, 2, 4])[:, None]
    return token.where(mask, Marks.of(tokenizer).pad), mask


@pytest.mark.parametrize("sees", ["summary", "article_and_summary"])
@pytest.mark.parametrize("family", FAMILIES)
def test_one_hot_shares_are_read_as_the_classifier_reads_the_tokens(tmp_path, family, sees):
    tokenizer = words(tmp_path, ROBERTA)
    model = save_classifier(tmp_path, tokenizer, family)
    opened = Guide(str(tmp_path), sees=sees).open(tokenizer, STANCES)
    token, share = texts(tokenizer)
    article, mask = articles(tokenizer)
    found = opened.log_p(share, article, mask)
    for b in range(3):
        own = token[b][token[b] != Marks.of(tokenizer).pad]
        before = article[b][mask[b]] if sees == "article_and_summary" else article[b][:1]
        with torch.no_grad():
            logits = model(input_ids=torch.cat([before, own])[None]).logits
        torch.testing.assert_close(found[b], logits.log_softmax(-1)[0], rtol=1e-4, atol=1e-5)
    assert len({tuple(row.tolist()) for row in found}) == 3


@pytest.mark.parametrize("sees", ["summary", "article_and_summary"])
def test_a_guide_reads_the_end_mark_and_nothing_behind_it_as_the_text_has_nothing(tmp_path, sees):
    tokenizer = words(tmp_path, ROBERTA)
    save_classifier(tmp_path, tokenizer)
    opened = Guide(str(tmp_path), sees=sees).open(tokenizer, STANCES)
    token, share = texts(tokenizer)
    article = articles(tokenizer)
    expected = opened.log_p(share, *article)
    marks = Marks.of(tokenizer)
    for b, end in enumerate((5, 3, 1)):
        for behind in ([7, marks.end, 9, 8, 7], [marks.pad, 7, 8, 9, 7]):
            token[b, end + 1 :] = torch.tensor(behind)[: 5 - end]
        assert marks.text(tokenizer, token[b]) == marks.text(tokenizer, token[b, :end])
    other = F.one_hot(token, len(tokenizer)).float()
    assert not torch.equal(other, share)
    found = opened.log_p(other, *article)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
    mixed = (3 * other + torch.rand(other.shape)).requires_grad_()
    opened.log_p(mixed, *article).sum().backward()
    touched = mixed.grad.abs().sum(-1) > 0
    assert touched.tolist() == [[s <= end for s in range(6)] for end in (5, 3, 1)]


def renamed(source, target, ours, theirs, pairs):
    """The same classifier with the vocabulary of another tokenizer."""
    model = save_classifier(source, ours)
    same = save_classifier(target, theirs)
    state = model.state_dict()
    key = next(name for name in state if name.endswith("word_embeddings.weight"))
    rows = torch.zeros(len(theirs), state[key].shape[1])
    for a, b in pairs:
        rows[b] = state[key][a]
    same.load_state_dict({**state, key: rows})
    same.save_pretrained(target)


@pytest.mark.parametrize("sees", ["summary", "article_and_summary"])
def test_a_guide_of_another_vocabulary_reads_the_same_where_all_tokens_have_counterparts(
    tmp_path, sees
):
    ours = words(tmp_path / "ours", ROBERTA)
    theirs = words(tmp_path / "theirs", ROBERTA, [*WORDS[::-1], "more", "words"])
    pairs = [(n, theirs.get_vocab()[word]) for word, n in ours.get_vocab().items()]
    renamed(tmp_path / "ours", tmp_path / "theirs", ours, theirs, pairs)
    _, share = texts(ours)
    given = (share + torch.rand(share.shape)).softmax(-1), *articles(ours)
    read = [
        Guide(str(tmp_path / name), sees=sees).open(ours, STANCES).log_p(*given)
        for name in ("ours", "theirs")
    ]
    torch.testing.assert_close(read[0], read[1])


def test_marks_correspond_by_their_role(tmp_path):
    roberta = words(tmp_path / "roberta", ROBERTA)
    bert = words(tmp_path / "bert", BERT, WORDS[::-1])
    there, back = counterparts(roberta, bert, "b"), counterparts(bert, roberta, "r")
    for a, b in (("<s>", "[CLS]"), ("</s>", "[SEP]"), ("<pad>", "[PAD]"), ("cat", "cat")):
        mine, its = roberta.get_vocab()[a], bert.get_vocab()[b]
        assert there[mine] == its
        assert back[its] == mine
    assert there[roberta.mask_token_id] == bert.unk_token_id  # BERT's has no mask here
    assert there[roberta.unk_token_id] == bert.unk_token_id


def test_one_mark_for_start_end_and_padding_is_read_as_the_end_and_texts_have_their_start(tmp_path):
    ours = words(tmp_path / "ours", {"eos_token": "<|end|>"})
    theirs = words(tmp_path / "theirs", ROBERTA)
    model = save_classifier(tmp_path / "theirs", theirs)
    opened = Guide(str(tmp_path / "theirs")).open(ours, STANCES)
    assert opened.index_V[ours.eos_token_id] == theirs.eos_token_id
    mine = ours.convert_tokens_to_ids(["cat", "sat"])
    share = F.one_hot(torch.tensor([mine]), len(ours)).float()
    article = torch.tensor([[ours.eos_token_id]])
    found = opened.log_p(share, article, torch.ones(1, 1, dtype=torch.bool))
    ids = torch.tensor([theirs.convert_tokens_to_ids(["<s>", "cat", "sat"])])
    with torch.no_grad():
        torch.testing.assert_close(found, model(input_ids=ids).logits.log_softmax(-1))
    text = torch.tensor([[ours.eos_token_id, *mine, ours.eos_token_id]])
    ids = torch.tensor([theirs.convert_tokens_to_ids(["<s>", "cat", "sat", "</s>"])])
    with torch.no_grad():
        expected = model(input_ids=ids).logits.log_softmax(-1)
    torch.testing.assert_close(opened.read(text, torch.ones(1, 4, dtype=torch.bool)), expected)


def test_a_guide_that_lacks_tokens_is_refused_with_their_number(tmp_path):
    ours = words(tmp_path / "ours", ROBERTA)
    theirs = words(tmp_path / "theirs", ROBERTA, [one for one in WORDS if one not in ("hill", "a")])
    save_classifier(tmp_path / "theirs", theirs)
    with pytest.raises(ValueError, match=f"no counterpart of 2 of {len(ours)} tokens.*'hill', 'a'"):
        Guide(str(tmp_path / "theirs")).open(ours, STANCES)


def test_a_guide_of_other_labels_is_refused_unless_it_is_said_what_they_mean(tmp_path):
    tokenizer = words(tmp_path, ROBERTA)
    save_classifier(tmp_path, tokenizer, labels=["L", "C", "R"])
    with pytest.raises(ValueError, match="has the classes L, C, R, not left, center, right"):
        Guide(str(tmp_path)).open(tokenizer, STANCES)
    labels = {"L": "right", "C": "center", "R": "left"}
    turned = Guide(str(tmp_path), labels=labels).open(tokenizer, STANCES)
    plain = Guide(str(tmp_path), labels=dict(zip("LCR", STANCES, strict=True)))
    given = texts(tokenizer)[1], *articles(tokenizer)
    expected = plain.open(tokenizer, STANCES).log_p(*given)
    torch.testing.assert_close(turned.log_p(*given), expected.flip(-1))


def test_a_guide_with_another_number_of_classes_or_without_a_head_is_refused(tmp_path):
    from transformers import AutoModel

    tokenizer = words(tmp_path / "two", ROBERTA)
    model = save_classifier(tmp_path / "two", tokenizer, labels=["human", "machine"])
    with pytest.raises(ValueError, match="no classifier of left, center, right: it holds no class"):
        Guide(str(tmp_path / "two")).open(tokenizer, STANCES)
    words(tmp_path / "bare", ROBERTA)
    AutoModel.from_config(model.config).save_pretrained(tmp_path / "bare")
    with pytest.raises(ValueError, match="no classifier of left, center, right"):
        Guide(str(tmp_path / "bare")).open(tokenizer, STANCES)


def test_targets_are_classes_of_the_guide(tmp_path):
    tokenizer = words(tmp_path, ROBERTA)
    save_classifier(tmp_path, tokenizer, labels=["wrong", "true"])
    with pytest.raises(ValueError, match="target 'odd' is none of wrong, true"):
        Guide(str(tmp_path), classes=["wrong", "true"], target="odd").open(tokenizer, STANCES)
    with pytest.raises(ValueError, match="say which is wanted by `target`"):
        Guide(str(tmp_path), classes=["wrong", "true"]).open(tokenizer, STANCES)
    facts = Guide(str(tmp_path), classes=["wrong", "true"], target="true").open(tokenizer, STANCES)
    assert facts.targets(torch.tensor([0, -100])).tolist() == [1, 1]


def test_the_target_of_a_guide_without_classes_is_one_of_the_stances(tmp_path):
    tokenizer = words(tmp_path, ROBERTA)
    save_classifier(tmp_path, tokenizer)
    always = Guide(str(tmp_path), target="right").open(tokenizer, STANCES)
    assert always.targets(torch.tensor([0, -100])).tolist() == [2, 2]


def test_a_network_may_have_more_tokens_than_the_tokenizer(tmp_path):
    tokenizer = words(tmp_path, ROBERTA)
    save_classifier(tmp_path, tokenizer)
    opened = Guide(str(tmp_path)).open(tokenizer, STANCES)
    _, share = texts(tokenizer)
    wide = F.pad(share, (0, 11))
    given = articles(tokenizer)
    assert torch.equal(opened.log_p(wide, *given), opened.log_p(share, *given))


def test_text_of_a_summary_ends_at_its_first_end_or_padding(tmp_path):
    tokenizer = words(tmp_path, ROBERTA)
    marks = Marks.of(tokenizer)
    cat, sat = tokenizer.convert_tokens_to_ids(["cat", "sat"])
    assert marks.text(tokenizer, [cat, sat, marks.end, cat]) == "cat sat"
    assert marks.text(tokenizer, [cat, marks.pad, sat]) == "cat"
    assert marks.text(tokenizer, [marks.end]) == ""
    assert marks.text(tokenizer, [cat, sat]) == "cat sat"
