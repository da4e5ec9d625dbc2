"""QLoRA: frozen weights in few bits beneath adapters, from the first step to the export."""

import json
from contextlib import contextmanager

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig

from callbacks.frozen import checksums
from cli import main
from engine.run.precision import HalfWeights
from modules.causal_lm.lora import Lora
from modules.causal_lm.network import FromConfig, Pretrained
from modules.weights.fingerprint import fingerprint
from modules.weights.origin import source_of
from tests.fixtures.runs import fit, last, losses, refused, weights, write_config

ALL = ["nf4", "nf4-double", "int8"]
TOKENS = torch.arange(24)[None]
ROWS = (TOKENS, TOKENS, [24])
SMALL = {
    "vocab_size": 300,
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
}


@pytest.fixture
def folder(tmp_path, tokenizer_folder):
    def write(model_type="llama", dtype=torch.float32, **options):
        torch.manual_seed(0)
        model = FromConfig(300, {**SMALL, **options}, model_type).model.to(dtype)
        path = tmp_path / f"{model_type}_{dtype}"
        model.save_pretrained(path)
        AutoTokenizer.from_pretrained(tokenizer_folder).save_pretrained(path)
        return str(path)

    return write


@contextmanager
def precision(name):
    """Where Lightning builds networks under a precision."""
    if name == "bf16-true":
        with HalfWeights(name).module_init_context():
            yield
    else:
        yield


def frozen(network):
    return [(name, p) for name, p in network.named_parameters() if not p.requires_grad]


@pytest.mark.parametrize("bits", ["nf4", "nf4-double"])
def test_logits_are_those_of_transformers_in_four_bits(folder, bits):
    source = folder()
    how = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=bits == "nf4-double",
        bnb_4bit_compute_dtype=torch.float32,
    )
    theirs = AutoModelForCausalLM.from_pretrained(source, quantization_config=how)
    ours = Pretrained(300, source, Lora(rank=2), quantize=bits).eval()
    wanted = theirs(input_ids=TOKENS).logits  # without gradients, it would round inputs as well
    torch.testing.assert_close(ours(*ROWS), wanted, rtol=0, atol=1e-5)


def test_weights_in_few_bits_cannot_be_trained(folder):
    with pytest.raises(ValueError, match="quantize: int8 needs lora: rounded weights cannot be"):
        Pretrained(300, folder(), quantize="int8")


MIXTRAL = {"num_local_experts": 2, "num_experts_per_tok": 1, "num_key_value_heads": 2}
GPT2 = {"n_embd": 32, "n_layer": 1, "n_head": 4}


@pytest.mark.parametrize(("model_type", "options"), [("mixtral", MIXTRAL), ("gpt2", GPT2)])
def test_an_architecture_without_linear_layers_is_refused(tmp_path, model_type, options):
    from transformers import AutoConfig

    sizes = SMALL if model_type == "mixtral" else {"vocab_size": 300}
    config = AutoConfig.for_model(model_type, **{**sizes, **options})
    AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path)
    message = rf"quantize: only \d+% of the weights of {model_type} are in plain linear layers"
    with pytest.raises(ValueError, match=message):
        Pretrained(300, str(tmp_path), Lora(rank=2), quantize="nf4")


@pytest.mark.parametrize(
    ("model_type", "options"),
    [("phi3", {"pad_token_id": 0}), ("gpt_neox", {}), ("llama", {"tie_word_embeddings": True})],
)
def test_linear_layers_of_other_architectures_are_held_and_merged(folder, model_type, options):
    source = folder(model_type, **options)
    network = Pretrained(300, source, Lora(rank=2), quantize="int8").eval()
    before = network(*ROWS).detach()
    plain = Pretrained(300, source).eval()(*ROWS).detach()
    assert 0 < (before - plain).std() < 0.05 * plain.std()
    network.merge()
    torch.testing.assert_close(network(*ROWS), before, rtol=0, atol=1e-5)


@pytest.mark.parametrize("bits", ALL)
def test_frozen_weights_are_the_same_in_every_precision_and_know_their_source(folder, bits):
    source = folder(dtype=torch.float16)
    names = set()
    for name in ("32-true", "bf16-true"):
        with precision(name):
            network = Pretrained(300, source, Lora(rank=2), quantize=bits)
        names.add(fingerprint(frozen(network)))
        assert {source_of(p) for _, p in frozen(network)} == {source}
        assert {p.dtype for p in network.parameters() if p.requires_grad} == {torch.float32}
        tables = (network.model.get_input_embeddings(), network.model.get_output_embeddings())
        wanted = torch.bfloat16 if name == "bf16-true" else torch.float32
        assert {table.weight.dtype for table in tables} == {wanted}
    assert len(names) == 1


def test_new_tokens_are_trained_beside_weights_in_few_bits(folder):
    network = Pretrained(302, folder(), Lora(rank=2), new_tokens=True, quantize="nf4")
    token = torch.tensor([[5, 300, 7, 301]])
    network(token, torch.arange(4)[None], [4]).square().sum().backward()
    grads = {n: p.grad for n, p in network.named_parameters() if p.requires_grad}
    assert sum("token" in name for name in grads) == 2
    assert all(grad is not None for grad in grads.values())


@pytest.mark.parametrize("bits", ALL)
def test_the_proof_of_frozen_weights_sees_a_code_and_a_divisor(folder, bits):
    network = Pretrained(300, folder(), Lora(rank=2), quantize=bits)
    before = checksums(network)
    layer = network.get_submodule("model.base_model.model.model.layers.0.mlp.up_proj")
    for name, _ in layer.named_parameters():
        tensor = layer.get_parameter(name).view(-1).view(torch.uint8)
        tensor[0] ^= 1
        after = checksums(network)
        assert [one.rpartition(".")[2] for one in before if before[one] != after[one]] == [name]
        tensor[0] ^= 1


@pytest.fixture
def config(tmp_path, text_file, tokenizer_folder):
    return write_config(tmp_path, text_file, tokenizer_folder)


def adapted(source, **options):
    options = {"source": source, "lora": {"rank": 2, "dropout": 0.1}, **options}
    name = "modules.causal_lm.network.Pretrained"
    return f"--model.init_args.network={json.dumps({'class_path': name, 'init_args': options})}"


def test_a_run_in_four_bits_saves_adapters_resumes_and_exports(config, folder, tmp_path, capsys):
    source = folder()
    options = [adapted(source, quantize="nf4-double"), "--trainer.precision=bf16-true"]
    whole = fit(config, *options, "--trainer.max_steps=4")
    first = fit(config, *options, "--trainer.max_steps=2")
    resumed = fit(config, *options, "--trainer.max_steps=4", last(first))
    assert losses(resumed) == losses(whole)[2:]
    assert all(torch.equal(weights(resumed)[n], v) for n, v in weights(whole).items())
    assert all("lora_" in n and v.dtype == torch.float32 for n, v in weights(whole).items())
    with refused(r"was trained with frozen weights .*, but the config has frozen weights"):
        fit(config, adapted(source), last(first))
    out = tmp_path / "exported"
    main(["export", f"--config={config}", *options, last(whole), f"--folder={out}"])
    assert "read again, its outputs differ by" in capsys.readouterr().out
    fresh = AutoModelForCausalLM.from_pretrained(out)
    assert fresh.dtype == torch.bfloat16
    assert getattr(fresh.config, "quantization_config", None) is None


def test_a_run_in_eight_bits_is_evaluated_in_another_precision_and_writes(config, folder):
    options = [adapted(folder(), quantize="int8"), "--trainer.precision=bf16-mixed"]
    run = fit(config, *options, "--trainer.max_steps=2")
    main(["validate", f"--config={config}", *options[:1], last(run)])
    prompts = '--data.init_args.prompts=["The cat"]'
    main(["predict", f"--config={config}", *options, prompts, last(run)])


def test_adapters_learn_on_four_bits_what_they_learn_on_all(folder):
    source, found = folder(), []
    token = torch.randint(300, (4, 16), generator=torch.Generator().manual_seed(0))
    for bits in (None, "nf4"):
        torch.manual_seed(0)
        network = Pretrained(300, source, Lora(rank=8), quantize=bits)
        optimizer = torch.optim.AdamW([p for p in network.parameters() if p.requires_grad], 0.01)
        for _ in range(20):
            label = token.roll(-1, 1)
            loss = network.loss(token, label, torch.arange(16).expand(4, -1), [16] * 4) / 64
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        found.append(loss.item())
    assert found[0] < 5.5 < torch.tensor(300.0).log()
    assert found[1] == pytest.approx(found[0], rel=0.02)
