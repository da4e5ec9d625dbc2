from math import log

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from modules.causal_lm.network import FromConfig
from modules.icl.analysis.information_gain import information_gain, scored

SHORT, LONGS, SPAN = 2, (4, 8), 16
SIZES = {
    "llama": {
        "vocab_size": 50,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "max_position_embeddings": 64,
    },
    "gpt2": {"vocab_size": 50, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64},
}


def random_network(model_type="llama", **arguments):
    """Weights so large that what is read matters."""
    torch.manual_seed(0)
    network = FromConfig(50, SIZES[model_type], model_type, **arguments).double().eval()
    with torch.no_grad():
        for weight in network.parameters():
            weight.add_(0.3 * torch.randn_like(weight))
    return network


def random_tokens(*lengths):
    generator = torch.Generator().manual_seed(1)
    return [torch.randint(50, (length,), generator=generator) for length in lengths]


def block_by_block(network, tokens, size, span):
    """-log p of the kept tokens, every block read alone by the model of transformers."""
    from transformers import AutoModelForCausalLM

    # eager attention of transformers takes its softmax in float32
    model = AutoModelForCausalLM.from_config(network.model.config, attn_implementation="sdpa")
    model.double().eval().load_state_dict(network.model.state_dict())
    nats = []
    for start in range(0, len(tokens) // span * span, size):
        block = tokens[start : start + size]
        with torch.no_grad():
            log_p = F.log_softmax(model(block[None]).logits[0], dim=-1)
        nats += [None] + [-float(log_p[i - 1, block[i]]) for i in range(1, size)]
    return nats


@pytest.mark.parametrize("attention", ["documents", "sdpa"])
@pytest.mark.parametrize("model_type", ["llama", "gpt2"])
@pytest.mark.parametrize("batch_tokens", [8192, 1])
def test_it_equals_a_loop_over_blocks_that_are_read_alone(model_type, attention, batch_tokens):
    network = random_network(model_type, attention=attention)
    sequences = random_tokens(32, 39, 16, 7)
    found = information_gain(network, sequences, SHORT, LONGS, batch_tokens)
    for n, tokens in enumerate(sequences):
        of = {c: block_by_block(network, tokens, 2 * c, SPAN) for c in (SHORT, *LONGS)}
        kept = [
            i for i in range(len(of[SHORT])) if all(nats[i] is not None for nats in of.values())
        ]
        assert int(found.scored_N[n]) == len(kept)
        for long in LONGS:
            gains = [of[SHORT][i] - of[long][i] for i in kept]
            if gains:
                expected = sum(gains) / len(gains)
                assert float(found.by_sequence(long)[n]) == pytest.approx(expected, abs=1e-10)
                assert abs(expected) > 1e-3
    assert found.by_sequence(8)[3].isnan()


def test_the_mean_weighs_sequences_by_their_tokens():
    found = information_gain(random_network(), random_tokens(64, 16, 3), SHORT, LONGS)
    one, other = found.by_sequence(8)[:2].tolist()
    assert found.scored_N.tolist() == [48, 12, 0]
    assert found.mean(8) == pytest.approx((4 * one + other) / 5)


@pytest.mark.parametrize("contexts", [(2, 4, 8), (128, 1024), (3, 6, 9, 18)])
def test_average_contexts_are_exactly_what_they_are_called(contexts):
    longest = 2 * max(contexts)
    place = torch.arange(longest)[scored(longest, contexts[0])]
    for context in contexts:
        assert (place % (2 * context)).sum() == context * len(place)


class Copier(nn.Module):
    """Expects the token that stood some tokens before the next one, where it can see it."""

    def __init__(self, distance, vocabulary):
        super().__init__()
        self.distance, self.vocabulary = distance, vocabulary
        self.weight = nn.Parameter(torch.zeros(1, dtype=torch.float64))

    def forward(self, token_BL, position_BL, length_N):
        assert token_BL.numel() == sum(length_N)
        assert position_BL[:, 0].eq(0).all()
        logits = torch.zeros(*token_BL.shape, self.vocabulary, dtype=torch.float64)
        seen = token_BL[:, : max(0, token_BL.shape[1] - self.distance + 1)]
        logits[:, self.distance - 1 :].scatter_(2, seen[..., None], 1000.0)
        return logits


def test_a_copy_at_a_distance_is_a_gain_of_contexts_that_reach_it_alone():
    distance, vocabulary = 20, 30
    tokens = random_tokens(distance)[0].remainder(vocabulary).repeat(16)
    found = information_gain(Copier(distance, vocabulary).eval(), [tokens], 4, (8, 16, 32))
    assert found.mean(8) == pytest.approx(0)
    for long in (16, 32):
        places = [i for i in range(2 * long) if i % 8]
        share = sum(i >= distance for i in places) / len(places)
        assert found.mean(long) == pytest.approx(share * log(vocabulary))


def test_contexts_that_cannot_be_compared_are_refused():
    network = random_network()
    tokens = random_tokens(40)
    with pytest.raises(ValueError, match="longer than 4 tokens, got \\[4\\]"):
        information_gain(network, tokens, 4, [4])
    for longs in ([5, 10], [4, 6]):
        with pytest.raises(ValueError, match=f"contexts of .{longs[0]}.* no multiple of the short"):
            information_gain(network, tokens, 2, longs)
    with pytest.raises(ValueError, match="no sequence has 64 tokens"):
        information_gain(network, tokens, 2, [32])
    with pytest.raises(ValueError, match="training mode"):
        information_gain(network.train(), tokens, 2, [4])


def test_blocks_longer_than_the_model_reads_are_refused():
    network = random_network("gpt2")
    with pytest.raises(ValueError, match="document of 128 tokens is longer"):
        information_gain(network, random_tokens(128), 2, [64])
