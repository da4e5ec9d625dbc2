import lightning as L
import pytest
import torch
from lightning.pytorch.plugins.precision import HalfPrecision
from torch import nn

from engine.run.precision import HalfWeights, cast, keep_buffers


class Counting(nn.Module):
    """A weight, statistics and a number."""

    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(4, 4)
        self.register_buffer("mean", torch.full((4,), 1 / 3, dtype=torch.float32))
        self.register_buffer("small", torch.ones(4, dtype=torch.bfloat16))
        self.register_buffer("count", torch.tensor(300))
        self.register_buffer("unset", None)


def test_weights_are_cast_and_statistics_keep_their_digits():
    module = nn.Sequential(Counting(), Counting())
    cast(module, torch.bfloat16)
    for part in module:
        assert {p.dtype for p in part.parameters()} == {torch.bfloat16}
        assert torch.equal(part.mean, torch.full((4,), 1 / 3))
        assert part.small.dtype == torch.bfloat16
        assert part.count.item() == 300
        assert part.unset is None
    cast(module, torch.float32)
    assert {p.dtype for p in module.parameters()} == {torch.float32}


@pytest.mark.parametrize("precision", ["bf16-true", "16-true"])
def test_a_trainer_in_half_precision_keeps_buffers_and_the_default_of_tensors(precision):
    trainer = L.Trainer(accelerator="cpu", precision=precision, logger=False)
    keep_buffers(trainer)
    plugin = trainer.precision_plugin
    assert isinstance(plugin, HalfWeights)
    assert plugin.precision == precision
    with plugin.train_step_context():
        assert torch.arange(1001).div(1000)[1].item() == pytest.approx(1e-3, rel=1e-6)
    with plugin.module_init_context():
        assert nn.Linear(2, 2).weight.dtype == plugin._desired_input_dtype


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_other_precisions_are_left_as_they_are(precision):
    trainer = L.Trainer(accelerator="cpu", precision=precision, logger=False)
    before = trainer.precision_plugin
    keep_buffers(trainer)
    assert trainer.precision_plugin is before
    assert not isinstance(before, HalfPrecision)


def test_a_llama_that_is_trained_in_bfloat16_is_the_one_that_others_load(tmp_path):
    from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    sizes = {"hidden_size": 64, "intermediate_size": 64, "num_hidden_layers": 1}
    config = LlamaConfig(vocab_size=50, num_attention_heads=1, **sizes)
    LlamaForCausalLM(config).save_pretrained(tmp_path)
    plugin = HalfWeights("bf16-true")
    with plugin.module_init_context():
        ours = AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.get_default_dtype())
    plugin.convert_module(ours)
    theirs = AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.bfloat16)
    asked = {"input_ids": torch.arange(8)[None], "position_ids": torch.arange(1000, 1008)[None]}
    with torch.no_grad(), plugin.train_step_context():
        assert torch.equal(ours(**asked).logits, theirs(**asked).logits)


def test_relative_positions_do_not_depend_on_the_precision_of_weights():
    # DeBERTa takes logarithms of positions in the default dtype
    from transformers.models.deberta_v2.modeling_deberta_v2 import build_relative_position

    states = torch.zeros(1, 512, 1)
    wanted = build_relative_position(states, states, bucket_size=256, max_position=512)
    with HalfWeights("bf16-true").train_step_context():
        relative = build_relative_position(states, states, bucket_size=256, max_position=512)
    assert torch.equal(relative, wanted)
