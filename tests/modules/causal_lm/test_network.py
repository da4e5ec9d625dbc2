import copy
import json

import pytest
import torch
from torch.utils.checkpoint import checkpoint  # noqa: F401 - imported before memory is measured
from transformers import AutoModelForCausalLM, AutoTokenizer, OPTConfig

from modules.causal_lm.lora import Lora, adapt
from modules.causal_lm.loss import IGNORE, next_token_loss
from modules.causal_lm.network import FromConfig, LanguageModel, Pretrained

LENGTHS = [5, 11, 1, 15]  # two rows of 16


def batch(seed=0):
    torch.manual_seed(seed)
    position = torch.cat([torch.arange(n) for n in LENGTHS]).view(2, 16)
    token = torch.randint(300, (2, 16))
    label = token.roll(-1).masked_fill(position.roll(-1) == 0, IGNORE)
    return token, label, position


def separate(network, token):
    """Each document by itself, through the plain Hugging Face model."""
    with network.generating() as model:
        parts = [model(t[None]).logits[0] for t in token.flatten().split(LENGTHS)]
    return torch.cat(parts).view(2, 16, -1)


@pytest.mark.parametrize("attention", ["documents", "sdpa", "eager"])
@pytest.mark.parametrize("model_type", ["llama", "gpt2", "qwen2"])
def test_packed_documents_equal_separate_ones(make_network, attention, model_type):
    options = {}
    if model_type == "gpt2":
        network = gpt2(attention)
    else:
        network = make_network(attention=attention, model_type=model_type, options=options)
    token, _, position = batch()
    with torch.no_grad():
        packed = network(token, position, LENGTHS)
        torch.testing.assert_close(packed, separate(network, token), rtol=0, atol=1e-6)


def opt():
    """OPT with the attention of transformers, which reads a whole row as one document."""
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "ffn_dim": 24, "num_hidden_layers": 2, "num_attention_heads": 4}
    sizes |= {"vocab_size": 300, "word_embed_proj_dim": 32, "max_position_embeddings": 64}
    config = OPTConfig(**sizes, bos_token_id=0, eos_token_id=0, attn_implementation="sdpa")
    return AutoModelForCausalLM.from_config(config).eval()


def test_a_model_made_elsewhere_gets_the_attention_that_keeps_documents_apart():
    model, (token, _, position) = opt(), batch()
    with torch.no_grad():
        alone = [model(t[None]).logits[0] for t in token.flatten().split(LENGTHS)]
        packed = LanguageModel(model)(token, position, LENGTHS)
    torch.testing.assert_close(packed.flatten(0, 1), torch.cat(alone), rtol=0, atol=1e-6)


def test_a_model_made_elsewhere_is_refused_under_attention_that_mixes_documents():
    with pytest.raises(ValueError, match=r"opt is not trained exactly with attention 'sdpa'"):
        LanguageModel(opt(), "sdpa")


def gpt2(attention):
    torch.manual_seed(0)
    options = {"vocab_size": 300, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64}
    return FromConfig(300, options, model_type="gpt2", attention=attention).eval()


@pytest.mark.parametrize("attention", ["documents", "sdpa"])
def test_no_token_sees_another_document(make_network, attention):
    network = make_network(attention=attention)
    token, _, position = batch()
    changed = token.clone()
    changed[0, 2] = (changed[0, 2] + 1) % 300  # in the first document
    with torch.no_grad():
        before, after = (network(t, position, LENGTHS).flatten(0, 1) for t in (token, changed))
    same = (before == after).all(-1)
    assert same.tolist() == [True] * 2 + [False] * 3 + [True] * 27


def test_the_loss_in_chunks_is_the_loss_and_has_its_gradient(make_network):
    whole, chunked = make_network(), make_network(loss_chunk=7)
    token, label, position = batch()
    losses = []
    for network in (whole, chunked):
        loss = network.loss(token, label, position, LENGTHS)
        loss.backward()
        losses.append(loss.detach())
    torch.testing.assert_close(*losses)
    for weight, chunked_weight in zip(whole.parameters(), chunked.parameters(), strict=True):
        torch.testing.assert_close(weight.grad, chunked_weight.grad, rtol=1e-5, atol=1e-6)


def test_the_loss_is_a_plain_sum_over_labels(make_network):
    network = make_network()
    token, label, position = batch()
    with torch.no_grad():
        logits = network(token, position, LENGTHS).double()
        expected = -sum(
            torch.log_softmax(logits[b, i], -1)[label[b, i]].item()
            for b in range(2)
            for i in range(16)
            if label[b, i] != IGNORE
        )
        actual = network.loss(token, label, position, LENGTHS)
    assert actual.item() == pytest.approx(expected, rel=1e-5)


def test_a_batch_without_labels_gives_zero_and_not_nan():
    logits = torch.randn(4, 10, requires_grad=True)
    loss = next_token_loss(logits, torch.full((4,), IGNORE))
    loss.backward()
    assert loss.item() == 0
    assert logits.grad.eq(0).all()


def saved_bytes(network):
    """Bytes kept for backward, and the gradient of the first block."""
    kept = 0

    def pack(tensor):
        nonlocal kept
        kept += tensor.nbytes
        return tensor

    token, label, position = batch()
    network.train()
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        loss = network.loss(token, label, position, LENGTHS)
    loss.backward()
    return kept, [p.grad for p in network.parameters()]


def test_activation_checkpointing_keeps_less_and_changes_nothing(make_network):
    plain_bytes, plain = saved_bytes(make_network())
    fewer_bytes, same = saved_bytes(make_network(activation_checkpointing=True))
    assert fewer_bytes < plain_bytes / 2
    torch.testing.assert_close(plain, same)


def test_adapters_train_alone_and_start_as_nothing(make_network):
    network = make_network()
    token, label, position = batch()
    before = network.loss(token, label, position, LENGTHS)
    network.model = adapt(network.model, Lora(rank=2))
    after = network.loss(token, label, position, LENGTHS)
    torch.testing.assert_close(before, after)
    after.backward()
    trained = {name for name, p in network.named_parameters() if p.grad is not None}
    assert trained == {n for n, p in network.named_parameters() if p.requires_grad}
    assert trained
    assert all("lora_" in name for name in trained)


def test_an_exported_adapter_is_merged(make_network, tmp_path, tokenizer_folder):
    tokenizer = AutoTokenizer.from_pretrained(tokenizer_folder)
    network = make_network()
    network.model = adapt(network.model, Lora(rank=2))
    for name, p in network.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(p)
    token, _, position = batch()
    with torch.no_grad():
        expected = network(token, position, LENGTHS)
        copy.deepcopy(network).export(tmp_path, tokenizer)
        loaded = Pretrained(300, str(tmp_path)).eval()
        torch.testing.assert_close(loaded(token, position, LENGTHS), expected, rtol=0, atol=1e-5)


def test_an_export_starts_and_ends_texts_as_the_tokenizer_does(
    make_network, tmp_path, tokenizer_folder
):
    tokenizer = AutoTokenizer.from_pretrained(tokenizer_folder)
    network = make_network()
    assert network.model.config.eos_token_id != tokenizer.eos_token_id
    network.export(tmp_path, tokenizer)
    written = json.loads((tmp_path / "config.json").read_text())
    assert written["eos_token_id"] == tokenizer.eos_token_id
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path).generation_config
    assert loaded.eos_token_id == tokenizer.eos_token_id


def test_bfloat16_is_taken_from_the_context(options):
    torch.set_default_dtype(torch.bfloat16)
    try:
        network = FromConfig(300, options)
    finally:
        torch.set_default_dtype(torch.float32)
    assert {p.dtype for p in network.parameters()} == {torch.bfloat16}


def test_a_tokenizer_larger_than_the_embedding_is_refused(options):
    with pytest.raises(ValueError, match=r"301 ids.*300 rows"):
        FromConfig(301, options)


def test_an_unknown_option_is_refused_with_the_nearest(options):
    with pytest.raises(ValueError, match="'hidden_sise'; did you mean 'hidden_size'"):
        FromConfig(300, {**options, "hidden_sise": 3})
    with pytest.raises(ValueError, match="did you mean 'llama'"):
        FromConfig(300, options, model_type="lama")


def test_a_missing_folder_is_named():
    with pytest.raises(FileNotFoundError, match=r"no/such/model.*TRAINER_MODELS"):
        Pretrained(300, "no/such/model")


def test_a_document_longer_than_a_sliding_window_is_refused(make_network):
    network = make_network(model_type="mistral", options={"sliding_window": 8})
    token, _, position = batch()
    with pytest.raises(
        ValueError, match=r"15 tokens is longer than the 8 tokens \(sliding_window 8\).*'sdpa'"
    ):
        network(token, position, LENGTHS)
