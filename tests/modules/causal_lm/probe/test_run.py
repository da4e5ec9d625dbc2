"""What the probe of architectures accepts and refuses, and why."""

import json
import random

import numpy as np
import pytest
import torch
from transformers import AutoConfig

from modules.causal_lm.architecture.hf_attention import register
from modules.causal_lm.architecture.options import as_decoder, make_config, own_ids
from modules.causal_lm.network import FromConfig, LanguageModel
from modules.causal_lm.probe import admission, verdict
from modules.causal_lm.probe.admission import admit, verdict_of
from modules.causal_lm.probe.run import examine
from modules.causal_lm.probe.shrink import shrink

HYBRID = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "shared_intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "num_local_experts": 0,
    "layer_types": ["mamba", "attention"],
    "mamba_n_heads": 4,
    "mamba_d_head": 16,
    "mamba_d_state": 8,
    "mamba_n_groups": 1,
}


@pytest.fixture(autouse=True)
def fresh(tmp_path, monkeypatch):
    """Verdicts of each test are its own."""
    monkeypatch.setattr(verdict, "FOLDER", tmp_path / "verdicts")
    register()


def config(model_type, **options):
    return as_decoder(own_ids(make_config(model_type, options), options))


def refusal_of(model_type, attention="documents", chunked=False, **options):
    with pytest.raises(ValueError, match=model_type) as refused:
        admit(config(model_type, **options), attention, 64 if chunked else None, LanguageModel)
    return str(refused.value)


@pytest.mark.parametrize("model_type", ["llama", "gpt2", "qwen3_moe", "olmo2"])
def test_architectures_that_keep_documents_apart_are_exact(model_type):
    outcome = examine(config(model_type), "documents", True, LanguageModel)
    assert outcome.faults == ()
    assert outcome.windows == ()
    assert outcome.sampling is not None


def test_a_state_that_runs_across_documents_is_refused_under_every_attention():
    for attention in ("documents", "sdpa"):
        why = refusal_of("granitemoehybrid", attention, **HYBRID)
        assert f"'{attention}': documents of a row see one another" in why
        assert "standard deviations" in why
        assert "no attention is exact" in why


def test_attention_that_leaks_names_the_one_that_does_not():
    why = refusal_of("opt", "sdpa")
    assert "documents of a row see one another" in why
    assert why.endswith("exact for it: attention 'documents'")


def test_sinks_that_are_dropped_are_seen():
    assert "against its own attention" in refusal_of("gpt_oss")


def test_attention_code_of_its_own_is_named():
    why = refusal_of("falcon")
    assert "falcon does not run with attention 'documents': it has attention code of its own" in why


def test_what_is_exact_within_a_window_is_named_so():
    assert "exact for it: attention 'sdpa' up to keep_window_size or 'eager'" in refusal_of("doge")


def test_options_that_do_not_fit_together_are_told_as_such():
    why = refusal_of("helium", hidden_size=48, num_attention_heads=4, num_key_value_heads=2)
    assert "helium does not run with attention 'documents': its code raises RuntimeError" in why
    assert "see whether the options fit together" in why


def test_what_is_exact_as_a_whole_only_is_named_so():
    assert refusal_of("gemma2", chunked=True).endswith("attention 'eager', without loss_chunk")


def test_a_window_limits_the_length_of_documents_and_of_rows():
    limits, _ = admit(config("mistral", sliding_window=1000), "documents", None, LanguageModel)
    assert limits.longest == 1000
    limits.check_documents([1000, 3])
    with pytest.raises(ValueError, match=r"1001 tokens.*sliding_window 1000.*'sdpa' or 'eager'"):
        limits.check_documents([7, 1001])
    with pytest.raises(ValueError, match=r"rows of 2048 tokens .data.init_args.row_length"):
        limits.check_rows(2048)
    free, _ = admit(config("mistral", sliding_window=1000), "sdpa", None, LanguageModel)
    assert free.longest is None


def test_rotary_factors_that_follow_the_longest_document_limit_it():
    half = 48  # of a head of 96
    factors = {"short_factor": [1.0] * half, "long_factor": [4.0] * half}
    rope = {"rope_type": "longrope", "rope_theta": 10000.0, **factors}
    rope["original_max_position_embeddings"] = 4096
    long = AutoConfig.for_model("phi3", rope_parameters=rope, max_position_embeddings=131072)
    limits, _ = admit(own_ids(long, {}), "sdpa", None, LanguageModel)
    assert limits.longest == 4096
    assert "original_max_position_embeddings" in limits.reason


@pytest.mark.parametrize(
    ("model_type", "options"),
    [("cohere", {}), ("granite", {"logits_scaling": 3.0}), ("recurrent_gemma", {})],
)
def test_a_head_that_is_more_than_a_linear_layer_is_not_cut_into_chunks(model_type, options):
    outcome = examine(config(model_type, **options), "documents", True, LanguageModel)
    whole = examine(config(model_type, **options), "documents", False, LanguageModel)
    if model_type == "recurrent_gemma":
        assert whole.faults  # its state runs on
    else:
        assert whole.faults == ()
        assert [fault.kind for fault in outcome.faults] == ["chunk"]
        assert "loss_chunk changes its loss by" in outcome.faults[0].message


def test_an_encoder_becomes_a_decoder_in_its_config_too():
    options = {"hidden_size": 32, "num_attention_heads": 2, "num_hidden_layers": 2}
    sizes = {"intermediate_size": 64, "max_position_embeddings": 64}
    network = FromConfig(96, {**options, **sizes}, model_type="bert").eval()
    assert network.model.config.is_decoder
    token = torch.randint(5, 90, (1, 12))
    with torch.no_grad():
        ours = network(token, torch.arange(12)[None], [12])
        network.model.set_attn_implementation("eager")
        torch.testing.assert_close(ours, network.model(input_ids=token).logits)


def test_a_model_of_images_and_text_names_its_text_model():
    with pytest.raises(ValueError, match="its text model alone is model_type gemma3_text"):
        make_config("gemma3", {"vocab_size": 100})


def test_nothing_outside_is_disturbed():
    torch.manual_seed(3)
    random.seed(3)
    np.random.seed(3)
    expected = torch.rand(1), random.random(), np.random.rand()
    torch.manual_seed(3)
    random.seed(3)
    np.random.seed(3)
    torch.set_default_dtype(torch.bfloat16)
    try:
        with torch.device("meta"):
            outcome = examine(config("llama"), "documents", False, LanguageModel)
            assert torch.zeros(1).is_meta
        assert torch.get_default_dtype() == torch.bfloat16
    finally:
        torch.set_default_dtype(torch.float32)
    assert outcome.faults == ()
    assert (torch.rand(1), random.random(), np.random.rand()) == expected


def test_a_verdict_is_found_again_and_one_that_is_broken_is_made_anew(monkeypatch):
    first = verdict_of(config("mistral"), "documents", False, LanguageModel)
    made = []
    real = admission.examine
    monkeypatch.setattr(admission, "examine", lambda *a: made.append(a) or real(*a))
    again = verdict_of(config("mistral", hidden_size=1024), "documents", False, LanguageModel)
    assert again == first
    assert not made
    (file,) = verdict.FOLDER.iterdir()
    file.write_text(file.read_text()[:20])
    assert verdict_of(config("mistral"), "documents", False, LanguageModel) == first
    assert len(made) == 1
    assert json.loads(file.read_text())["windows"] == ["sliding_window"]
    verdict_of(config("mistral"), "sdpa", False, LanguageModel)
    assert len(made) == 2


def test_a_folder_that_cannot_be_written_to_changes_nothing(monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setattr(verdict, "FOLDER", tmp_path / "file" / "inside")
    assert not verdict_of(config("llama"), "documents", False, LanguageModel).faults


def test_a_shrunk_model_keeps_one_layer_of_each_kind():
    real = make_config("gemma3_text", {})
    small = shrink(real)
    assert set(small.layer_types) == set(real.layer_types)
    assert small.num_hidden_layers == len(small.layer_types) == 2
    assert small.hidden_size <= 64
    assert small.sliding_window == 8
    assert real.num_hidden_layers == 26
