"""What others load is what was trained."""

import re

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from cli import main
from modules.causal_lm.export import probe_tokens
from modules.causal_lm.lora import Lora, adapt
from modules.causal_lm.network import FromConfig
from tests.fixtures.runs import fit, write_config

GPT2 = {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64, "vocab_size": 300}
TIED = {"tie_word_embeddings": True}


@pytest.fixture
def tokenizer(tokenizer_folder):
    return AutoTokenizer.from_pretrained(tokenizer_folder)


def adapted(network, targets):
    """The network with adapters that do something."""
    network.model = adapt(network.model, Lora(rank=2, targets=targets))
    torch.manual_seed(1)
    for name, parameter in network.named_parameters():
        if "lora_" in name:
            torch.nn.init.normal_(parameter, std=0.1)
    return network.eval()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
@pytest.mark.parametrize(
    ("targets", "is_tied"),
    [
        (["q_proj", "v_proj"], True),
        (["q_proj", "lm_head"], False),
        (["embed_tokens"], False),
        (["embed_tokens", "lm_head", "down_proj"], False),
    ],
    ids=lambda value: "+".join(value) if isinstance(value, list) else "",
)
def test_adapters_of_tied_matrices_are_written_as_they_were_trained(
    make_network, tokenizer, tmp_path, targets, is_tied, dtype
):
    network = adapted(make_network(options=TIED), targets).to(dtype)
    wanted = network.probe_logits()
    network.export(tmp_path, tokenizer)
    fresh = AutoModelForCausalLM.from_pretrained(tmp_path)
    assert fresh.dtype == dtype
    assert (fresh.lm_head.weight is fresh.model.embed_tokens.weight) == is_tied
    assert fresh.config.tie_word_embeddings == is_tied
    with torch.no_grad():
        logits = fresh(input_ids=probe_tokens(300, 128, "cpu")).logits
    error = (logits - wanted).float().std() / wanted.float().std()
    assert error < (1e-5 if dtype == torch.float32 else 0.02)
    torch.testing.assert_close(network.probe_logits_of(tmp_path), logits, rtol=0, atol=0)


@pytest.mark.parametrize("targets", [["c_attn", "lm_head"], ["wte", "c_fc"], ["attn.c_proj"]])
def test_a_tied_gpt2_is_written_as_it_was_trained(tokenizer, tmp_path, targets):
    torch.manual_seed(0)
    network = adapted(FromConfig(300, GPT2, "gpt2").eval(), targets)
    wanted = network.probe_logits()
    network.export(tmp_path, tokenizer)
    torch.testing.assert_close(network.probe_logits_of(tmp_path), wanted, rtol=0, atol=1e-5)


@pytest.fixture
def config(tmp_path, text_file, tokenizer_folder):
    return write_config(tmp_path, text_file, tokenizer_folder)


def export(config, folder, *extra):
    main(["export", f"--config={config}", f"--folder={folder}", *extra])


def test_an_export_says_that_it_was_read_again_and_leaves_nothing_else(config, tmp_path, capsys):
    checkpoint = fit(config) / "checkpoints" / "last.ckpt"
    export(config, tmp_path / "out", f"--ckpt_path={checkpoint}")
    assert "read again, its outputs differ by" in capsys.readouterr().out
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= names
    assert not any(name.startswith(".") for name in names)


def damaged_weight(model, folder):
    """A folder in which one number is another."""
    from safetensors.torch import load_file, save_file

    state = load_file(folder / "model.safetensors")
    state["lm_head.weight"][7, 3] += 0.5
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})


def damaged_config(model, folder):
    """A folder with the same weights and another config."""
    path = folder / "config.json"
    path.write_text(path.read_text().replace('"rms_norm_eps": 1e-06', '"rms_norm_eps": 0.1'))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (damaged_weight, r"other values of lm_head\.weight at 1 of 9600 positions"),
        (damaged_config, r"outputs differ by \d.* of their spread, more than the 0\.001"),
    ],
)
def test_an_export_that_computes_something_else_is_an_error_and_leaves_no_folder(
    config, tmp_path, monkeypatch, capsys, damage, message
):
    from modules.causal_lm import export as network

    whole = network.write_folder

    def broken(model, folder, tokenizer, *more):
        whole(model, folder, tokenizer, *more)
        damage(model, folder)

    monkeypatch.setattr(network, "write_folder", broken)
    checkpoint = fit(config) / "checkpoints" / "last.ckpt"
    with pytest.raises(SystemExit) as refused:
        export(config, tmp_path / "out", f"--ckpt_path={checkpoint}")
    assert refused.value.code == 2
    error_text = capsys.readouterr().err
    assert re.search(f"not what was trained, and was removed: .*{message}", error_text)
    assert not (tmp_path / "out").exists()


def test_a_model_trained_in_bfloat16_is_written_in_bfloat16(config, tmp_path):
    half = "--trainer.precision=bf16-true"
    checkpoint = fit(config, half) / "checkpoints" / "last.ckpt"
    export(config, tmp_path / "out", f"--ckpt_path={checkpoint}", half)
    assert AutoModelForCausalLM.from_pretrained(tmp_path / "out").dtype == torch.bfloat16
