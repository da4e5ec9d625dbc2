"""Choices of parameters."""

import pytest

from modules.icl.gradients.parameters import chosen_parameters
from tests.fixtures.document_gradients import tiny_model


def test_a_choice_leaves_out_what_it_says():
    model = tiny_model("gpt2")
    names = chosen_parameters(model, embeddings=False, norms=False, last_layers=1)
    ends = {name.removeprefix("transformer.h.1.") for name in names}
    assert ends == {
        f"{layer}.{kind}"
        for layer in ("attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj")
        for kind in ("weight", "bias")
    }


def test_a_head_of_its_own_is_no_embedding():
    assert "lm_head.weight" in chosen_parameters(tiny_model(tied=False), embeddings=False)
    assert "lm_head.weight" not in chosen_parameters(tiny_model(tied=True), embeddings=False)


def test_more_layers_than_there_are_are_refused():
    with pytest.raises(ValueError, match="last_layers: 3 of a network with a stack of 2 layers"):
        chosen_parameters(tiny_model(), last_layers=3)


def test_a_frozen_network_has_nothing_to_choose():
    with pytest.raises(ValueError, match="no trainable parameter of LlamaForCausalLM"):
        chosen_parameters(tiny_model().requires_grad_(False))
