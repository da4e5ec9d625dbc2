"""Weights by columns while a text is written."""

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from modules.causal_lm.architecture.weight_layout import (
    LEAST_STEPS,
    MOST_ROWS,
    column_major,
    is_faster,
)

SIZES = {
    "vocab_size": 50,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
}


@pytest.mark.parametrize("tied", [True, False])
def test_nothing_but_the_strides_changes_and_that_only_inside(tied):
    torch.manual_seed(0)
    model = LlamaForCausalLM(LlamaConfig(**SIZES, tie_word_embeddings=tied)).eval()
    token = torch.arange(12).view(1, 12)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    kept = dict(model.named_parameters())
    wanted = model(input_ids=token).logits
    with column_major(model):
        assert model.model.layers[0].mlp.up_proj.weight.stride() == (1, 64)
        assert model.lm_head.weight.stride() == (1, 50)
        torch.testing.assert_close(model(input_ids=token).logits, wanted, rtol=1e-5, atol=1e-6)
    for name, p in model.named_parameters():
        assert p is kept[name]
        assert p.is_contiguous()
        assert torch.equal(p, before[name])
    assert torch.equal(model(input_ids=token).logits, wanted)


def test_weights_come_back_after_an_error():
    layer = torch.nn.Linear(3, 5)
    with pytest.raises(RuntimeError, match="broken"), column_major(layer):
        raise RuntimeError("broken")
    assert layer.weight.is_contiguous()


def test_it_pays_for_few_rows_and_many_steps_on_a_cpu():
    cpu, gpu = torch.device("cpu"), torch.device("cuda")
    assert is_faster(MOST_ROWS, LEAST_STEPS, cpu)
    assert not is_faster(MOST_ROWS + 1, LEAST_STEPS, cpu)
    assert not is_faster(1, LEAST_STEPS - 1, cpu)
    assert not is_faster(1, LEAST_STEPS, gpu)
