import pytest
import torch

OPTIONS = {
    "vocab_size": 300,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
}


@pytest.fixture
def options():
    return dict(OPTIONS)


@pytest.fixture
def make_network():
    """Builds the same tiny random Llama every time."""
    from modules.causal_lm.network import FromConfig

    def make(**arguments):
        torch.manual_seed(0)
        options = {**OPTIONS, **arguments.pop("options", {})}
        return FromConfig(300, options, **arguments).eval()

    return make
