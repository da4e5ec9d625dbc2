"""Two steps, an export and a few answers at the sizes of real models, at every precision.

Weights are drawn by chance in the shapes of GPT-2 (124 M), of Llama 3.2 1B (its width, its 128,256
tokens and its rotary scaling, of whose 16 layers two will do) and of OPT-6.7B, of which one layer
will. What only shows at such sizes is an index that a float cannot count to, a dtype that does not
fit, and memory.
"""

import copy
import gc
import json
import math
from pathlib import Path

import pytest
import torch
from torch.nn.functional import cross_entropy

from cli import main
from modules.causal_lm.network import FromConfig
from modules.icl.gradients.documents import DocumentTable
from modules.icl.gradients.parameters import chosen_parameters
from modules.icl.gradients.similarity import Directions, loss_gradient, similarities
from tests.fixtures import lmfusion_small_run as small_run
from tests.fixtures.runs import fit, losses, weights, write_config

pytestmark = pytest.mark.slow

PRECISIONS = ["32-true", "bf16-mixed", "bf16-true"]
SHORT = ["--trainer.max_steps=2", "--data.init_args.batch_size=1", "--data.init_args.row_length=32"]
MOST_GIGABYTES = 8.0


@pytest.fixture(scope="module")
def folders(tmp_path_factory, tokenizer_folder):
    """Folders by name."""
    from transformers import (
        AutoTokenizer,
        GPT2Config,
        GPT2LMHeadModel,
        LlamaConfig,
        LlamaForCausalLM,
    )

    torch.manual_seed(0)
    root = tmp_path_factory.mktemp("models")
    llama = LlamaConfig(
        vocab_size=128_256,
        hidden_size=2048,
        intermediate_size=8192,
        num_hidden_layers=2,
        num_attention_heads=32,
        num_key_value_heads=8,
        head_dim=64,
        max_position_embeddings=131_072,
        tie_word_embeddings=True,
        rope_parameters={
            "rope_type": "llama3",
            "rope_theta": 500_000.0,
            "factor": 32.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 8192,
        },
    )
    models = {
        "gpt2": lambda: GPT2LMHeadModel(GPT2Config()),
        "llama": lambda: LlamaForCausalLM(llama).bfloat16(),
    }
    for name, make in models.items():
        make().save_pretrained(root / name)
        AutoTokenizer.from_pretrained(tokenizer_folder).save_pretrained(root / name)
    return {name: root / name for name in models}


def gigabytes(name):
    """A memory size of this process as Linux reports it: VmRSS now, VmHWM at its peak."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith(name))) / 2**20


@pytest.fixture(autouse=True)
def before():
    """What the process holds before a test, in gigabytes; its peak begins anew."""
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")
    return gigabytes("VmRSS")


def peak_gigabytes(before):
    """Memory that the test took on top of that, at its peak."""
    return gigabytes("VmHWM") - before


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("name", ["gpt2", "llama"])
def test_adapters_train_resume_and_are_exported(
    folders, name, precision, tmp_path, text_file, tokenizer_folder, before
):
    from transformers import AutoModelForCausalLM

    config = write_config(tmp_path, text_file, tokenizer_folder)
    lora = {"rank": 4, "targets": None}
    options = {"source": str(folders[name]), "lora": lora, "loss_chunk": 16}
    network = {"class_path": "modules.causal_lm.network.Pretrained", "init_args": options}
    flags = [
        f"--model.init_args.network={json.dumps(network)}",
        f"--trainer.precision={precision}",
        *SHORT,
    ]
    run = fit(config, *flags)
    last = f"--ckpt_path={run / 'checkpoints' / 'last.ckpt'}"
    assert all(math.isfinite(loss) for loss in losses(run))
    assert {value.dtype for value in weights(run).values()} == {torch.float32}
    assert len(losses(fit(config, *flags, last, "--trainer.max_steps=3"))) == 1
    main(["export", f"--config={config}", *flags, last, f"--folder={tmp_path / 'out'}"])
    wanted = torch.bfloat16 if precision == "bf16-true" else torch.float32
    fresh = AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    assert fresh.dtype == wanted
    assert fresh.get_input_embeddings().weight is fresh.get_output_embeddings().weight
    assert peak_gigabytes(before) < MOST_GIGABYTES


@pytest.mark.parametrize("precision", PRECISIONS)
def test_image_experts_train_beside_a_real_language_model(
    folders, precision, tmp_path, tokenizer_folder, before
):
    config = small_run.write_config(tmp_path, folders["llama"], tokenizer_folder)
    flags = ["--trainer.max_steps=2", "--data.init_args.batch_size=1"]
    quick = "--model.init_args.optimizer={class_path: torch.optim.SGD, init_args: {lr: 1.0e-4}}"
    kept = "--trainer.callbacks+=callbacks.frozen.FrozenGuard"
    run = fit(config, f"--trainer.precision={precision}", *flags, quick, kept)
    assert all(math.isfinite(loss) for loss in small_run.rows(run, "train/loss"))
    assert peak_gigabytes(before) < MOST_GIGABYTES


@pytest.mark.parametrize("precision", ["32-true", "bf16-true"])
@pytest.mark.parametrize("name", ["gpt2", "llama"])
def test_a_real_model_is_steered_by_a_pair_of_its_size(folders, name, precision, tmp_path, before):
    parts = {part: {"path": str(folders[name])} for part in ("base", "expert", "antiexpert")}
    method = {
        "class_path": "modules.decoding.methods.ProxyTuned",
        "init_args": {**parts, "prompt": "{question}", "alpha": 1.0},
    }
    questions = tmp_path / "questions.jsonl"
    questions.write_text(json.dumps({"question": "The cat sat on", "answers": ["the mat"]}) + "\n")
    source = {
        "class_path": "datamodules.questions.files.JsonlQuestions",
        "init_args": {"path": str(questions)},
    }
    config = "configs/decoding/proxy_tuning.yaml"
    main(
        [
            "predict",
            f"--config={config}",
            f"--model.init_args.method={json.dumps(method)}",
            f"--data.init_args.predict={json.dumps([source])}",
            "--model.init_args.generation.max_new_tokens=3",
            "--trainer.accelerator=cpu",
            f"--trainer.precision={precision}",
            f"--trainer.logger.init_args.root={tmp_path / 'runs'}",
        ]
    )
    [answers] = (tmp_path / "runs").glob("*/*/*/*.jsonl")
    [answer] = map(json.loads, answers.read_text().splitlines())
    assert answer["id"] is not None
    assert peak_gigabytes(before) < MOST_GIGABYTES


def test_gradients_of_a_layer_of_opt_6_7b_in_bfloat16_are_close_to_those_of_autograd():
    torch.manual_seed(0)
    sizes = {"hidden_size": 4096, "word_embed_proj_dim": 4096, "ffn_dim": 16_384}
    layers = {"num_hidden_layers": 1, "num_attention_heads": 32}
    rounded = FromConfig(50_272, sizes | layers, "opt").bfloat16().eval()
    exact = copy.deepcopy(rounded).float()
    names = chosen_parameters(rounded)
    assert sum(dict(rounded.named_parameters())[name].numel() for name in names) > 400_000_000
    token_BL, lengths = torch.randint(10, 50_000, (1, 24)), [16, 8]

    def nats(network, begin, end):
        token = token_BL[:, begin:end]
        position = torch.arange(end - begin)[None]
        logits = network(token, position, [end - begin])[0, :-1].float()
        return cross_entropy(logits, token[0, 1:], reduction="sum")

    def both_nats():
        position = torch.cat([torch.arange(one) for one in lengths])[None]
        logits = rounded(token_BL, position, lengths)[0].float()
        label = token_BL[0].roll(-1)
        label[[15, 23]] = -100
        return cross_entropy(logits, label, reduction="sum")

    direction = loss_gradient(exact, names, [lambda: nats(exact, 4, 20)])
    product, norm = [], []
    for begin, end in ((0, 16), (16, 24)):
        gradient = loss_gradient(exact, names, [lambda a=begin, b=end: nats(exact, a, b)])
        product.append(sum(float((gradient[name] * direction[name]).sum()) for name in names))
        norm.append(sum(float(gradient[name].square().sum()) for name in names) ** 0.5)
        del gradient
    length = sum(float(one.square().sum()) for one in direction.values()) ** 0.5
    table = DocumentTable(1, 24, lengths)
    found = similarities(rounded, both_nats, table, Directions.of([direction]))
    assert found.square_N.sqrt().tolist() == pytest.approx(norm, rel=0.02)
    cosine = [p / n / length for p, n in zip(product, norm, strict=True)]
    assert found.cosine_NQ[:, 0].tolist() == pytest.approx(cosine, abs=0.01)
    assert max(cosine) > 0.1
