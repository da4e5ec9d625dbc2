"""Which layers get adapters, and what else is trained with them."""

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from engine.run.precision import HalfWeights
from modules.causal_lm.lora import Lora, adapt
from modules.causal_lm.network import FromConfig, Pretrained

SIZES = {
    "llama": {},
    "phi3": {"num_key_value_heads": 4, "pad_token_id": 0},
    "gpt_neox": {"num_key_value_heads": None},
    "gpt2": None,
}
SMALL = {
    "vocab_size": 300,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 1,
    "num_attention_heads": 4,
}
FOUND = {
    "llama": {"q_proj", "k_proj", "v_proj", "o_proj"},
    "phi3": {"qkv_proj", "o_proj"},
    "gpt_neox": {"query_key_value", "dense"},
    "gpt2": {"attn.c_attn", "attn.c_proj"},
}


def made(model_type):
    sizes = {"vocab_size": 300, "n_embd": 32, "n_layer": 1, "n_head": 4}
    options = SIZES[model_type]
    if options is not None:
        sizes = {name: size for name, size in {**SMALL, **options}.items() if size is not None}
    return FromConfig(300, sizes, model_type).model


def adapted_layers(model):
    return {name.split(".lora_")[0] for name, _ in model.named_parameters() if ".lora_" in name}


@pytest.mark.parametrize("model_type", SIZES)
def test_adapters_find_the_projections_of_attention_whatever_they_are_called(model_type):
    names = adapted_layers(adapt(made(model_type), Lora(rank=2)))
    assert len(names) == len(FOUND[model_type])
    assert all(any(name.endswith(f".{end}") for name in names) for end in FOUND[model_type])


def test_where_no_module_is_called_attention_all_linear_layers_but_the_last_are_adapted():
    from transformers import LlamaConfig, LlamaForCausalLM

    model = LlamaForCausalLM(LlamaConfig(**SMALL))
    layer = model.model.layers[0]
    layer.mixer = layer.self_attn
    del layer.self_attn
    names = {name.rsplit(".", 1)[-1] for name in adapted_layers(adapt(model, Lora(rank=2)))}
    projections = {"q_proj", "k_proj", "v_proj", "o_proj"}
    assert names == projections | {"gate_proj", "up_proj", "down_proj"}


@pytest.mark.parametrize("targets", [["q_proj", "W_pack"], ["proj"], ["W_pack"]])
def test_a_target_that_no_layer_is_called_is_refused_with_those_that_there_are(targets):
    wrong = targets[-1]
    message = rf"no layer of LlamaForCausalLM is called {wrong}; there are .*k_proj, lm_head, o_"
    with pytest.raises(ValueError, match=message):
        adapt(made("llama"), Lora(rank=2, targets=targets))


def test_adapters_beside_bfloat16_weights_learn_in_single_precision():
    torch.manual_seed(0)
    plugin = HalfWeights("bf16-true")
    with plugin.module_init_context():
        model = adapt(made("llama"), Lora(rank=2))
    plugin.convert_module(model)
    model.set_attn_implementation("sdpa")
    trained = [p for p in model.parameters() if p.requires_grad]
    assert {p.dtype for p in trained} == {torch.float32}
    assert {p.dtype for p in model.parameters() if not p.requires_grad} == {torch.bfloat16}
    optimizer = torch.optim.AdamW(trained, lr=1e-6)
    before = [p.detach().clone() for p in trained]
    for _ in range(2):
        optimizer.zero_grad()
        model(input_ids=torch.arange(9)[None], labels=torch.arange(9)[None]).loss.backward()
        optimizer.step()
    moved = sum(int((p != old).sum()) for p, old in zip(trained, before, strict=True))
    assert moved > 0.95 * sum(p.numel() for p in trained)


@pytest.fixture
def folder(tmp_path, tokenizer_folder):
    def write(is_tied):
        torch.manual_seed(0)
        options = {**SMALL, "tie_word_embeddings": is_tied}
        network = FromConfig(300, options)
        path = tmp_path / f"tied_{is_tied}"
        network.export(path, AutoTokenizer.from_pretrained(tokenizer_folder))
        return str(path)

    return write


@pytest.mark.parametrize("is_tied", [True, False], ids=["tied", "apart"])
@pytest.mark.parametrize("lora", [None, Lora(rank=2)], ids=["whole", "adapters"])
def test_new_tokens_get_rows_that_are_trained_and_exported(
    folder, tmp_path, tokenizer_folder, is_tied, lora
):
    source = folder(is_tied)
    tokenizer = AutoTokenizer.from_pretrained(tokenizer_folder)
    tokenizer.add_tokens(["<one>", "<two>"])
    with pytest.raises(ValueError, match=r"has 302 ids, .* 300 rows; new_tokens: true makes rows"):
        Pretrained(302, source, lora)
    network = Pretrained(302, source, lora, new_tokens=True)
    again = Pretrained(302, source, lora, new_tokens=True)
    frozen = {n: p for n, p in again.named_parameters() if not p.requires_grad}
    for name, parameter in network.named_parameters():
        assert name not in frozen or torch.equal(parameter, frozen[name])
    token, label = torch.tensor([[5, 300, 7, 301, 9]]), torch.tensor([[300, 7, 301, 9, -100]])
    position = torch.arange(5)[None]
    trained = [p for p in network.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(trained, lr=0.1)
    before = network(token, position, [5]).detach()
    network.loss(token, label, position, [5]).backward()
    optimizer.step()
    network.eval()
    after = network(token, position, [5]).detach()
    assert (after - before)[..., 300:].abs().max() > 1e-3
    network.export(tmp_path / "out", tokenizer)
    fresh = AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    old = AutoModelForCausalLM.from_pretrained(source)
    rows = fresh.get_input_embeddings().weight
    assert rows.shape[0] == 302
    assert not torch.equal(rows[300], rows[301])
    with torch.no_grad():
        torch.testing.assert_close(fresh(input_ids=token).logits, after, rtol=0, atol=1e-5)
    if lora is not None:
        assert torch.equal(rows[:300], old.get_input_embeddings().weight)
