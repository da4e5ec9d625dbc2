import copy

import pytest
import torch
from transformers import LlamaConfig
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

from modules.nn.rotary import ExactRotary


def rotary() -> LlamaRotaryEmbedding:
    return LlamaRotaryEmbedding(LlamaConfig(hidden_size=64, num_attention_heads=1))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_a_network_cast_to_half_turns_late_positions_as_before(dtype):
    position, like = torch.tensor([[0, 1, 1000, 8191]]), torch.zeros(1, dtype=torch.float32)
    wanted = rotary()(like, position)
    network = torch.nn.Sequential(ExactRotary(rotary()), torch.nn.Linear(2, 2)).to(dtype)
    assert network[1].weight.dtype == dtype
    for table, exact in zip(network[0](like, position), wanted, strict=True):
        assert torch.equal(table, exact)
    rounded = rotary().to(dtype)(like, position)[0]
    assert (rounded - wanted[0]).abs().max() > 0.5


def test_other_casts_and_moves_go_through():
    module = ExactRotary(rotary())
    assert copy.deepcopy(module).double().inner.inv_freq.dtype == torch.float64
    assert copy.deepcopy(module).to("meta").inner.inv_freq.is_meta
    assert copy.deepcopy(module).to("meta", torch.bfloat16).inner.inv_freq.is_meta
