from functools import partial

import pytest
import torch
from transformers import AutoTokenizer

from modules.causal_lm.loss import IGNORE
from modules.causal_lm.system import parts
from modules.icl.gradients.similarity import loss_gradient
from modules.icl.label_rows import label_rows
from tests.fixtures.in_context import OPTIONS, label_loss, two_models

PROMPTS = ["The cat:", "A dog ran over the hill, and the cat:", "", "Rain fell. The house:"]
WORDS = [" good", " bad news", " cat", " moon"]


@pytest.fixture
def tokenizer(tokenizer_folder):
    return AutoTokenizer.from_pretrained(tokenizer_folder)


@pytest.mark.parametrize("kind", OPTIONS)
def test_the_loss_of_label_rows_is_the_sum_of_label_only_losses(kind, tokenizer):
    ours, plain = two_models(kind)
    found = ours.loss(*parts(label_rows(tokenizer, PROMPTS, WORDS)))
    wanted = [label_loss(plain, tokenizer, *one) for one in zip(PROMPTS, WORDS, strict=True)]
    torch.testing.assert_close(found.double(), torch.stack(wanted).sum(), rtol=1e-6, atol=0)


@pytest.mark.parametrize("kind", OPTIONS)
def test_the_gradient_of_label_rows_is_that_of_label_only_losses(kind, tokenizer):
    ours, plain = two_models(kind)
    rows = label_rows(tokenizer, PROMPTS, WORDS)
    names = [name for name, _ in plain.named_parameters()]
    found = loss_gradient(ours.model, names, [lambda: ours.loss(*parts(rows))])
    pairs = zip(PROMPTS, WORDS, strict=True)
    losses = [partial(label_loss, plain, tokenizer, *one) for one in pairs]
    wanted = loss_gradient(plain, names, losses)
    for name in names:
        torch.testing.assert_close(found[name], wanted[name], rtol=1e-4, atol=1e-5)


def test_rows_are_documents_with_targets_at_the_word_only(tokenizer):
    batch = label_rows(tokenizer, PROMPTS, WORDS)
    lengths = iter(batch["length_N"])
    for row, (prompt, word) in enumerate(zip(PROMPTS, WORDS, strict=True)):
        before = [tokenizer.bos_token_id, *tokenizer.encode(prompt, add_special_tokens=False)]
        ids = tokenizer.encode(word, add_special_tokens=False)
        length = next(lengths)
        assert batch["token_BL"][row, :length].tolist() == [*before, *ids[:-1]]
        label = batch["label_BL"][row].tolist()
        assert label[len(before) - 1 : length] == ids
        assert {*label[: len(before) - 1], *label[length:]} <= {IGNORE}
        padding = len(label) - length
        assert batch["position_BL"][row].tolist() == [*range(length), *range(padding)]
        assert not padding or next(lengths) == padding
    assert sum(batch["length_N"]) == batch["token_BL"].numel()
    assert batch["num_targets"] == batch["step_targets"] == (batch["label_BL"] != IGNORE).sum()
    assert batch["num_bytes"] == len("".join(WORDS).encode())


def test_a_prompt_keeps_its_tokens_where_the_word_would_merge_with_its_last(tokenizer):
    prompt, word = "The cat sat on th", "e mat"
    before = [tokenizer.bos_token_id, *tokenizer.encode(prompt, add_special_tokens=False)]
    whole = tokenizer.encode(prompt + word, add_special_tokens=False)
    assert whole[: len(before) - 1] != before[1:]  # they do merge
    batch = label_rows(tokenizer, [prompt], [word])
    labels = batch["label_BL"][0]
    assert batch["token_BL"][0, : len(before)].tolist() == before
    assert tokenizer.decode(labels[labels != IGNORE]) == word


def test_a_start_that_a_prompt_writes_is_read_once(tokenizer):
    plain, written = (
        label_rows(tokenizer, [start + "The cat:"], [" good"])["token_BL"].tolist()
        for start in ("", tokenizer.bos_token)
    )
    assert plain == written


def test_a_word_without_a_token_is_refused(tokenizer):
    with pytest.raises(ValueError, match="the continuation '' has no token"):
        label_rows(tokenizer, ["The cat:"], [""])
