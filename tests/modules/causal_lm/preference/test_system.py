"""DPO runs: gradients, accumulation, the reference of a resumed run, and a margin that grows."""

import json
import math
from functools import partial

import numpy as np
import pytest
import torch

from cli import main
from datamodules.instructions.pairs import PreferenceFiles
from datamodules.instructions.preferences import PreferenceData
from modules.causal_lm.lora import Lora
from modules.causal_lm.network import FromConfig, Pretrained
from modules.causal_lm.preference.system import PreferenceLM
from tests.fixtures.runs import (
    OPTIONS,
    fit,
    fit_on_ranks,
    last,
    losses,
    metrics,
    newest_run,
    refused,
    weights,
    write_small_run,
)

NAMES = ["cat", "dog", "moon", "house", "rain", "hill"]
ROWS = [
    {"prompt": f"What of the {name}?", "chosen": f"The {name} ran.", "rejected": f"{name}, {name}!"}
    for name in NAMES
]
BETA = 0.5


@pytest.fixture
def pairs(tmp_path):
    path = tmp_path / "pairs.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return path


@pytest.fixture
def config(tmp_path, tokenizer_folder, pairs):
    source = {
        "class_path": "datamodules.instructions.pairs.PreferenceFiles",
        "init_args": {"path": str(pairs), "prompt": "prompt"},
    }
    network = {
        "class_path": "modules.causal_lm.network.FromConfig",
        "init_args": {"options": OPTIONS},
    }
    model = {
        "tokenizer": str(tokenizer_folder),
        "network": network,
        "optimizer": {"class_path": "torch.optim.AdamW", "init_args": {"lr": 0.002}},
        "beta": BETA,
    }
    data = {
        "tokenizer": str(tokenizer_folder),
        "chat_template": "plain",
        "train": [source],
        "validate": [source],
        "row_length": 64,
        "batch_size": 4,
        "cache": str(tmp_path / "cache"),
    }
    return write_small_run(
        tmp_path,
        {
            "model": {
                "class_path": "modules.causal_lm.preference.system.PreferenceLM",
                "init_args": model,
            },
            "data": {
                "class_path": "datamodules.instructions.preferences.PreferenceData",
                "init_args": data,
            },
        },
    )


@pytest.fixture
def source(tmp_path):
    """A folder of a model that others trained."""
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(1)
    LlamaForCausalLM(LlamaConfig(vocab_size=300, **OPTIONS)).save_pretrained(tmp_path / "source")
    return tmp_path / "source"


def pretrained(source, **options):
    network = {
        "class_path": "modules.causal_lm.network.Pretrained",
        "init_args": {"source": str(source), **options},
    }
    return f"--model.init_args.network={json.dumps(network)}"


def test_loss_and_gradient_are_those_of_a_loop_over_single_answers(
    tmp_path, tokenizer_folder, pairs
):
    data = PreferenceData(
        str(tokenizer_folder),
        [PreferenceFiles(str(pairs), prompt="prompt")],
        chat_template="plain",
        batch_size=3,
        cache=str(tmp_path),
    )
    data.prepare_data()
    data.setup("fit")
    batch = next(iter(data.train_dataloader()))
    torch.manual_seed(0)
    network = partial(FromConfig, options=OPTIONS)
    system = PreferenceLM(network, str(tokenizer_folder), beta=BETA).double()
    system.configure_model()
    system.double()
    for parameter in system.network.parameters():  # off its reference, or all margins were 0
        parameter.data += 0.02 * torch.randn_like(parameter)
    totals = system._totals(batch)
    parameters = list(system.network.parameters())
    gradients = torch.autograd.grad(totals[0], parameters)
    items = data._pairs["train"]  # pair by pair, the sums are the same
    each = [system._totals(items.batch(np.array([row]), 1)) for row in batch["row_B"]]
    torch.testing.assert_close([sum(one) for one in zip(*each, strict=True)], totals)

    def log_p(model, row):
        length = int((batch["position_BL"][row].diff() == 1).long().cumprod(0).sum()) + 1
        token, label = batch["token_BL"][row, :length], batch["label_BL"][row, :length]
        logits = model(token[None], torch.arange(length)[None], [length])[0].log_softmax(-1)
        return sum(logits[t, label[t]] for t in range(length) if label[t] != -100)

    expected, margins = 0.0, []
    for pair in range(3):
        ratios = [
            log_p(system.network, row) - log_p(system.copy_at_start, row).detach()
            for row in (pair, 3 + pair)
        ]
        margins.append(BETA * (ratios[0] - ratios[1]))
        expected = expected - torch.log(1 / (1 + torch.exp(-margins[-1])))
    assert totals[0].item() == pytest.approx(expected.item(), rel=1e-9)
    assert totals[1].item() == sum(margin.item() > 0 for margin in margins)
    assert totals[2].item() == pytest.approx(sum(margins).item(), rel=1e-9)
    plain = torch.autograd.grad(expected, parameters)
    torch.testing.assert_close(gradients, plain, rtol=1e-6, atol=1e-9)


@pytest.mark.slow
def test_one_batch_of_six_and_six_of_one_train_alike(config):
    steps = "--trainer.max_steps=3"
    whole = fit(config, steps, "--data.init_args.batch_size=6")
    each = ["--data.init_args.batch_size=1", "--trainer.accumulate_grad_batches=6"]
    parts = fit(config, steps, *each)
    assert losses(parts) == pytest.approx(losses(whole), rel=1e-4)
    assert losses(whole)[0] == pytest.approx(math.log(2))  # the policy is still its reference
    for name, value in weights(whole).items():
        torch.testing.assert_close(weights(parts)[name], value, rtol=1e-3, atol=1e-5)


def test_a_model_with_adapters_is_its_reference_without_them(tokenizer_folder, source):
    network = partial(Pretrained, source=str(source), lora=Lora(rank=2))
    system = PreferenceLM(network, str(tokenizer_folder))
    system.configure_model()
    length = 9
    token = torch.arange(length)[None]
    rows = token, token.roll(-1, 1), token, [length]
    start = system.language_model.log_p(rows, 1.0)
    assert system.copy_at_start is None
    for parameter in system.parameters():
        if parameter.requires_grad:
            parameter.data += 0.1
    assert torch.equal(system.reference_log_p(rows), start)
    moved = system.language_model.log_p(rows, 1.0)
    assert not torch.allclose(moved, start)
    assert moved.requires_grad
    assert all(module.training for module in system.modules())


@pytest.mark.parametrize("start", ["random", pytest.param("adapters", marks=pytest.mark.slow)])
def test_a_resumed_run_has_the_reference_of_the_first_one(config, source, start):
    given = [] if start == "random" else [pretrained(source, lora={"rank": 2})]
    whole = fit(config, *given, "--trainer.max_steps=3")
    first = fit(config, *given, "--trainer.max_steps=2")
    # another seed draws another model to start from
    resumed = fit(config, *given, last(first), "--trainer.max_steps=3", "--seed_everything=5")
    assert losses(resumed) == losses(whole)[2:]
    saved = weights(whole)
    assert all(torch.equal(weights(resumed)[name], value) for name, value in saved.items())
    assert any(name.startswith("copy_at_start.") for name in saved) == (start == "random")


def test_a_source_that_changed_is_no_reference(config, source):
    from safetensors.torch import load_file, save_file

    first = fit(config, pretrained(source), "--trainer.max_steps=1")
    assert not any(name.startswith("copy_at_start.") for name in weights(first))
    file = source / "model.safetensors"
    changed = load_file(file)
    changed["model.norm.weight"] += 1
    save_file(changed, file, metadata={"format": "pt"})
    with refused(r"last\.ckpt was trained with frozen weights"):
        fit(config, pretrained(source), last(first))


def test_training_raises_the_margin_and_validation_measures_it(config):
    run = fit(config, "--trainer.max_steps=20")
    rows = metrics(run)
    assert rows[0]["train/margin"] == pytest.approx(0, abs=1e-5)
    assert rows[-1]["train/margin"] > 2
    assert rows[-1]["train/accuracy"] == 1
    assert rows[-1]["train/chosen_log_p"] - rows[-1]["train/rejected_log_p"] > 5
    main(["validate", f"--config={config}", last(run)])
    text = (newest_run(config) / "metrics.csv").read_text().splitlines()
    row = dict(zip(text[0].split(","), text[-1].split(","), strict=True))
    assert float(row["validate/margin"]) > 2
    assert float(row["validate/accuracy"]) == 1


def test_a_weight_of_nothing_is_refused(tokenizer_folder):
    network = partial(FromConfig, options=OPTIONS)
    with pytest.raises(ValueError, match=r"beta must be above 0, got 0\.0"):
        PreferenceLM(network, str(tokenizer_folder), beta=0.0)


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["ddp", "fsdp2"])
@pytest.mark.parametrize("start", ["random", "source", "adapters"])
def test_two_ranks_that_were_stopped_train_as_one(config, source, strategy, start):
    given = {
        "random": [],
        "source": [pretrained(source)],
        "adapters": [pretrained(source, lora={"rank": 2})],
    }[start]
    one = fit(config, *given, "--data.init_args.batch_size=4", "--trainer.max_steps=3")
    parallel = [*given, f"--config=configs/strategy/{strategy}.yaml"]
    parallel += ["--data.init_args.batch_size=2"]
    first = fit_on_ranks(config, 2, *parallel, "--trainer.max_steps=2")
    resumed = fit_on_ranks(config, 2, *parallel, "--trainer.max_steps=3", last(first))
    assert [*losses(first), *losses(resumed)] == pytest.approx(losses(one), rel=1e-5)
