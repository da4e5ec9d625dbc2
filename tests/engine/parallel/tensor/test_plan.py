import pytest
import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor.debug import CommDebugMode
from torch.testing._internal.distributed.fake_pg import FakeStore
from transformers import (
    AutoModelForCausalLM,
    GPT2Config,
    LlamaConfig,
    Qwen2Config,
    Qwen3Config,
)

from engine.parallel.tensor.plan import FIRST, Trunk, divide
from modules.causal_lm.lora import Lora, adapt
from modules.lmfusion.network.llama import Transfusion
from modules.lmfusion.network.patchify import LinearPatchifier
from modules.nn.quantized_linear import QuantizedLinear

SIZES = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 20,
}


def model(kind, **options):
    with torch.device("meta"):
        return AutoModelForCausalLM.from_config(kind(**{**SIZES, **options}))


@pytest.mark.parametrize("kind", [LlamaConfig, Qwen2Config])
def test_every_matrix_of_a_llamas_blocks_is_divided(kind):
    network = model(kind)
    trunk = Trunk.of(network)
    assert len(trunk.by_output) == 2 * 5
    assert len(trunk.by_input) == 2 * 2
    assert trunk.embedding is network.model.embed_tokens
    assert trunk.head is network.lm_head
    trunk.check(2, network)


def test_both_paths_of_lmfusion_are_divided():
    options = {name: value for name, value in SIZES.items() if name != "vocab_size"}
    network = Transfusion(20, options, lambda width: LinearPatchifier(width, 8, 3, 2))
    trunk = Trunk.of(network)
    assert len(trunk.by_output) == 10
    assert all(name.startswith("blocks.") for name in trunk.by_input)


def test_adapters_are_divided_with_the_layers_that_they_adapt():
    lora = Lora(rank=2, targets=[*FIRST, "o_proj", "down_proj"])
    network = adapt(AutoModelForCausalLM.from_config(LlamaConfig(**SIZES)), lora)
    trunk = Trunk.of(network)
    kinds = [
        {name.rpartition("_proj")[2] for name in found}
        for found in (trunk.by_output, trunk.by_input)
    ]
    assert kinds == [{".base_layer", ".lora_B.default"}, {".base_layer", ".lora_A.default"}]


@pytest.mark.parametrize(
    ("size", "said"),
    [(4, "does not divide the 2 heads of .*k_proj"), (3, "the 4 heads of .*q_proj")],
)
def test_ranks_that_do_not_divide_the_heads_are_refused(size, said):
    network = model(LlamaConfig)
    with pytest.raises(ValueError, match=said):
        Trunk.of(network).check(size, network)


def test_norms_of_single_heads_are_refused():
    with pytest.raises(ValueError, match=r"_norm works on divided heads"):
        Trunk.of(model(Qwen3Config, head_dim=8))


def test_other_architectures_are_refused():
    with torch.device("meta"):
        network = AutoModelForCausalLM.from_config(GPT2Config(n_embd=8, n_layer=1, n_head=2))
    with pytest.raises(ValueError, match="GPT2LMHeadModel has no layers called q_proj"):
        Trunk.of(network)


@pytest.fixture
def two_ranks():
    """A mesh of two ranks, of which the other one is made up."""
    dist.init_process_group("fake", rank=0, world_size=2, store=FakeStore())
    yield init_device_mesh("cpu", (2,))
    dist.destroy_process_group()


def test_a_block_adds_over_the_ranks_twice_forward_and_twice_backward(two_ranks):
    """And besides the blocks: the embedding, and what the output layer reads."""
    network = AutoModelForCausalLM.from_config(LlamaConfig(**SIZES))
    divide(network, two_ranks)
    with CommDebugMode() as counter:
        network(input_ids=torch.zeros(1, 4, dtype=torch.long)).logits.sum().backward()
    found = {str(kind).rpartition(".")[2]: num for kind, num in counter.get_comm_counts().items()}
    assert found == {"all_reduce": 2 * (2 + 2) + 2, "all_gather_into_tensor": 1}
    inner = network.model.layers[0].self_attn
    assert inner.q_proj.out_features == inner.o_proj.in_features == 16


def test_quantised_layers_are_refused():
    network = AutoModelForCausalLM.from_config(LlamaConfig(**SIZES))
    attention = network.model.layers[0].self_attn
    attention.q_proj = QuantizedLinear(nn.Linear(32, 32, bias=False), "int8", torch.float32)
    with pytest.raises(ValueError, match=r"q_proj is a QuantizedLinear"):
        Trunk.of(network)
