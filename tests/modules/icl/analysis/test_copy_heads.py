"""Copying heads, by a plain loop, and of a model that copies by hand-set weights."""

import pytest
import torch
from transformers import AutoModelForCausalLM, GPT2Config

from modules.causal_lm.network import LanguageModel
from modules.icl.analysis.copy_heads import copy_heads, repeated
from tests.fixtures.document_gradients import tiny_model

WORDS, LENGTH = 20, 6
SHARP = 40.0
"""Factor on what keys and queries share: attention is then all but one-hot."""


def model_of(kind):
    return LanguageModel(tiny_model(kind, dtype=torch.float32)).eval()


@pytest.mark.parametrize("kind", ["llama", "gpt2", "opt"])
def test_scores_are_those_of_a_loop_over_single_weights(kind):
    network = model_of(kind)
    token_BL = repeated(range(3, WORDS), LENGTH, 5, start=0, seed=1)
    found = copy_heads(network, token_BL, rows_per_batch=2)
    own = tiny_model(kind, dtype=torch.float32)
    own.set_attn_implementation("eager")
    with torch.no_grad():
        out = own(token_BL, output_attentions=True)
    for layer, score_H in zip(out.attentions, found.score_H, strict=True):
        for head, score in enumerate(score_H.tolist()):
            weights = []
            for row, tokens in zip(layer[:, head], token_BL.tolist(), strict=True):
                for place in range(1 + LENGTH, 1 + 2 * LENGTH):
                    before = tokens[:place].index(tokens[place])
                    weights.append(float(row[place, before + 1]))
            assert score == pytest.approx(sum(weights) / len(weights), rel=1e-5)
    log_p = out.logits.log_softmax(-1)
    for nats, first in ((found.first_nats, 2), (found.again_nats, 2 + LENGTH)):
        places = [(b, at) for b in range(5) for at in range(first, first + LENGTH - 1)]
        wanted = [-float(log_p[b, at - 1, token_BL[b, at]]) for b, at in places]
        assert nats == pytest.approx(sum(wanted) / len(wanted), rel=1e-5)


def test_the_model_has_its_own_attention_afterwards():
    network = model_of("llama")
    token_BL = repeated(range(3, WORDS), LENGTH, 2, start=0, seed=1)
    copy_heads(network, token_BL)
    assert network.model.config._attn_implementation == "documents"


def induction_model(places=16):
    """Two layers of two heads: the first head of the second layer copies, the others attend evenly.

    Width: words, places, and a slot where the first layer writes the word before. No feed-forward.
    """
    width = WORDS + places + WORDS + 8
    config = GPT2Config(
        vocab_size=WORDS, n_embd=width, n_head=2, n_layer=2, n_positions=places, eos_token_id=0
    )
    model = AutoModelForCausalLM.from_config(config).eval()
    head, word, place, slot = width // 2, 0, WORDS, WORDS + places
    for parameter in model.parameters():
        parameter.data.zero_()
    body = model.transformer
    for norm in [*(n for one in body.h for n in (one.ln_1, one.ln_2)), body.ln_f]:
        norm.weight.data.fill_(1.0)
    body.wte.weight.data[:, :WORDS] = torch.eye(WORDS)
    body.wpe.weight.data[:, place:slot] = torch.eye(places)
    before, copying = (one.attn for one in body.h)
    qkv = before.c_attn.weight.data  # [width, queries, keys and values of both heads]
    for at in range(places):
        qkv[place + at, width + at] = 1.0
        qkv[place + at, max(0, at - 1)] = SHARP
    qkv[word + torch.arange(WORDS), 2 * width + torch.arange(WORDS)] = 1.0
    before.c_proj.weight.data[torch.arange(WORDS), slot + torch.arange(WORDS)] = 1.0
    qkv = copying.c_attn.weight.data
    qkv[word + torch.arange(WORDS), torch.arange(WORDS)] = SHARP
    qkv[slot + torch.arange(WORDS), width + torch.arange(WORDS)] = 1.0
    qkv[word + torch.arange(WORDS), 2 * width + torch.arange(WORDS)] = 1.0
    copying.c_proj.weight.data[torch.arange(WORDS), word + torch.arange(WORDS)] = SHARP
    assert head >= max(WORDS, places)
    return LanguageModel(model, is_admitted=True).eval()


def test_the_head_that_was_made_to_copy_is_the_one_that_is_found():
    token_BL = repeated(range(1, WORDS), LENGTH, 8, start=0, seed=3)
    found = copy_heads(induction_model(), token_BL)
    (before, even), (copying, also_even) = (one.tolist() for one in found.score_H)
    assert copying > 0.95
    assert found.highest == copying
    assert before < 0.05  # it looks at the token before, which is another
    assert even == pytest.approx(found.even, rel=1e-5)
    assert also_even == pytest.approx(found.even, rel=1e-5)
    assert found.gain > 1.0


def test_a_sequence_is_one_start_and_the_same_different_tokens_twice():
    token_BL = repeated(range(5, 15), 10, 3, start=1, seed=0)
    for start, *tokens in token_BL.tolist():
        assert start == 1
        assert tokens[:10] == tokens[10:]
        assert sorted(tokens[:10]) == [*range(5, 15)]
    with pytest.raises(ValueError, match="a copy of 11 different tokens out of 10"):
        repeated(range(5, 15), 11, 3, start=1, seed=0)


def test_sequences_longer_than_the_model_reads_are_refused():
    with pytest.raises(ValueError, match="sequences of 17 tokens, but the model reads 16"):
        copy_heads(induction_model(), repeated(range(1, WORDS), 8, 1, start=0, seed=0))
