"""The configs of LMFusion."""

import pytest
import torch
from transformers import AutoModelForCausalLM, LlamaConfig

from modules.diffusion.schedule import CosineSchedule
from modules.lmfusion.network.fusion import FusionNetwork
from modules.lmfusion.network.text_model import TextParts
from modules.lmfusion.network.unet import UNetPatchifier
from modules.lmfusion.noise import largest_readable_step
from tests.fixtures.layers import CONFIGS, as_data

LLAMA_3_8B = LlamaConfig(
    vocab_size=128_256,
    hidden_size=4096,
    intermediate_size=14_336,
    num_hidden_layers=32,
    num_attention_heads=32,
    num_key_value_heads=8,
    max_position_embeddings=8192,
)


def read(name):
    return as_data(CONFIGS / "lmfusion" / f"{name}.yaml")


def billions(parameters):
    return round(sum(p.numel() for p in parameters) / 1e9, 2)


@pytest.mark.parametrize("name", ["llama3_8b", "llava"])
def test_the_papers_network_has_the_papers_sizes(name):
    patchifier = read(name)["model"]["init_args"]["network"]["init_args"]["patchifier"]
    with torch.device("meta"):
        llama = AutoModelForCausalLM.from_config(LLAMA_3_8B, dtype=torch.bfloat16)
        unet = UNetPatchifier(4096, **patchifier["init_args"])
        network = FusionNetwork(TextParts.of(llama), unet)
    frozen = [p for p in network.parameters() if not p.requires_grad]
    trained = [p for p in network.parameters() if p.requires_grad]
    assert sum(p.numel() for p in frozen) == 8_030_261_248
    assert {p.dtype for p in frozen} == {torch.bfloat16}
    assert {p.dtype for p in trained} == {torch.float32}
    images = [p for block in network.blocks for p in block.image.parameters()]
    assert billions(images) == 6.98
    assert billions(unet.parameters()) == 0.27
    assert billions(trained) == 7.25
    assert unet.num_patches == 256


@pytest.mark.parametrize("name", ["llama3_8b", "llava"])
def test_the_papers_recipe_is_the_papers(name):
    config = read(name)
    model, data = config["model"]["init_args"], config["data"]["init_args"]
    optimizer, schedule = (model[part]["init_args"] for part in ("optimizer", "scheduler"))
    assert optimizer == {"lr": 1e-4, "betas": [0.9, 0.95], "weight_decay": 0.1}
    assert schedule["warmup_steps"] == 4000
    assert schedule["floor"] * optimizer["lr"] == pytest.approx(1.5e-5)
    assert (model["image_weight"], model["prediction"]) == (5.0, "eps")
    assert largest_readable_step(CosineSchedule(), model.get("read_signal", 0.493)) == 500
    assert (data["channels"], data["image_size"], data["num_patches"]) == (4, 32, 256)
    assert (data["row_length"], config["trainer"]["gradient_clip_val"]) == (4096, 1.0)
    assert config["trainer"]["precision"].startswith("bf16")


def test_the_baseline_has_the_sizes_and_data_of_the_main_run():
    main, baseline = read("tiny"), read("transfusion_tiny")
    assert baseline["data"] == main["data"]
    assert baseline["trainer"] == main["trainer"]
    ours, theirs = (c["model"]["init_args"] for c in (baseline, main))
    network, source = ours.pop("network")["init_args"], theirs.pop("network")["init_args"]
    assert ours == theirs
    assert network["patchifier"] == source["patchifier"]
    wanted = LlamaConfig.from_pretrained(CONFIGS.parent / source["source"])
    config = LlamaConfig(vocab_size=network["vocab_size"], **network["options"])
    for name in ("rms_norm_eps", "rope_parameters", "head_dim", *network["options"]):
        assert getattr(config, name) == getattr(wanted, name), name
    assert config.vocab_size == wanted.vocab_size
