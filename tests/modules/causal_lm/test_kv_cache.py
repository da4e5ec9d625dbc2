"""The cache with in-place updates, compared with transformers' own."""

import pytest
import torch
from transformers import (
    DynamicCache,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
)
from transformers.cache_utils import DynamicSlidingWindowLayer

from modules.causal_lm.kv_cache import ROOM, GrowingLayer, growing_cache

SIZES = {
    "vocab_size": 50,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 1024,
}


@pytest.fixture(scope="module")
def llama():
    torch.manual_seed(0)
    return LlamaForCausalLM(LlamaConfig(**SIZES)).eval()


def written(model, cache, **how):
    token = torch.tensor([[0, 0, 5], [7, 8, 9]])
    mask = torch.tensor([[0, 0, 1], [1, 1, 1]])
    torch.manual_seed(1)
    return model.generate(
        input_ids=token, attention_mask=mask, past_key_values=cache, pad_token_id=0, **how
    )


@pytest.mark.parametrize(
    "how",
    [
        {"do_sample": True, "max_new_tokens": 2 * ROOM + 30},
        {"do_sample": False, "num_beams": 3, "num_return_sequences": 2, "max_new_tokens": 40},
        {"do_sample": True, "num_return_sequences": 3, "max_new_tokens": 20},
    ],
    ids=["past the room", "beams", "several"],
)
def test_texts_are_those_of_transformers_cache(llama, how):
    theirs = written(llama, DynamicCache(config=llama.config), **how)
    assert torch.equal(written(llama, growing_cache(llama.config), **how), theirs)


def test_nothing_is_copied_while_there_is_room():
    layer = GrowingLayer()
    states = torch.randn(2, 3, 1, 4)
    keys, _ = layer.update(states, states)
    start = keys.data_ptr()
    for step in range(ROOM):
        keys, values = layer.update(states + step, states - step)
    assert keys.data_ptr() == start
    assert keys.shape[-2] == layer.get_seq_length() == ROOM + 1
    assert torch.equal(keys[..., -1:, :], states + (ROOM - 1))
    assert torch.equal(values[..., 1:2, :], states)


def test_a_cache_that_was_cut_or_reset_goes_on():
    generator = torch.Generator().manual_seed(0)
    ours, theirs = GrowingLayer(), DynamicCache(config=LlamaConfig(**SIZES)).layers[0]
    for step in (3, 1, -2, 1, 0, 2, 1):
        if step < 0:
            ours.crop(step)
            theirs.crop(step)
        elif step == 0:
            ours.reset()
            theirs.reset()
        else:
            new = torch.randn(2, 1, step, 4, generator=generator)
            actual, wanted = ours.update(new, -new), theirs.update(new, -new)
            assert torch.equal(actual[0], wanted[0])
            assert torch.equal(actual[1], wanted[1])


def test_sliding_windows_stay_transformers_own():
    model = MistralForCausalLM(MistralConfig(**SIZES, sliding_window=8))
    cache = growing_cache(model.config)
    assert {type(layer) for layer in cache.layers} == {DynamicSlidingWindowLayer}
