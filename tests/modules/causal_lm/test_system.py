import csv
import json
import subprocess
import sys
from math import log
from pathlib import Path

import pytest
import torch

from cli import main
from tests.conftest import TEXTS
from tests.fixtures.runs import fit, losses, metrics, newest_run, refused, weights, write_config

LORA = {
    "class_path": "modules.causal_lm.network.Pretrained",
    "init_args": {"lora": {"rank": 2, "dropout": 0.1}},
}
NO_DROPOUT = "--model.init_args.network.init_args.options.attention_dropout=0.0"


@pytest.fixture
def config(tmp_path, text_file, tokenizer_folder):
    return write_config(tmp_path, text_file, tokenizer_folder)


@pytest.fixture
def pretrained(tmp_path, tokenizer_folder):
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(1)
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2}
    folder = tmp_path / "pretrained"
    LlamaForCausalLM(LlamaConfig(vocab_size=300, num_attention_heads=4, **sizes)).save_pretrained(
        folder
    )
    return folder


def with_adapters(folder: Path) -> str:
    network = json.loads(json.dumps(LORA))
    network["init_args"]["source"] = str(folder)
    return f"--model.init_args.network={json.dumps(network)}"


def test_one_batch_of_eight_and_eight_of_one_train_alike(config):
    whole = fit(config, NO_DROPOUT, "--data.init_args.batch_size=8")
    parts = fit(
        config,
        NO_DROPOUT,
        "--data.init_args.batch_size=1",
        "--trainer.accumulate_grad_batches=8",
    )
    assert losses(parts) == pytest.approx(losses(whole), rel=1e-5)
    norms = [[row["train/gradient_norm"] for row in metrics(run)] for run in (whole, parts)]
    assert norms[1] == pytest.approx(norms[0], rel=1e-4)
    for name, value in weights(whole).items():
        torch.testing.assert_close(weights(parts)[name], value, rtol=1e-3, atol=1e-5)


def validation_row(run: Path) -> dict[str, float]:
    with (run / "metrics.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row.get("validate/loss")]
    return {k: float(v) for k, v in rows[-1].items() if v}


def test_validation_equals_a_plain_sum_over_separate_documents(config):
    run = fit(config, NO_DROPOUT, "--trainer.val_check_interval=4")
    row = validation_row(run)

    from modules.causal_lm.system import CausalLM

    system = CausalLM.load_from_checkpoint(run / "checkpoints" / "last.ckpt").eval()
    tokenizer, nats, num_targets = system.tokenizer, 0.0, 0
    with system.language_model.generating() as model, torch.no_grad():
        for text in TEXTS:
            end = tokenizer.eos_token_id
            token = torch.tensor([end, *tokenizer.encode(text), end])
            logits = model(token[None]).logits[0, :-1].double()
            nats -= logits.log_softmax(-1).gather(1, token[1:, None]).sum().item()
            num_targets += len(token) - 1
    num_bytes = sum(len(text.encode()) for text in TEXTS)
    assert row["validate/loss"] == pytest.approx(nats / num_targets, rel=1e-6)
    assert row["validate/bits_per_byte"] == pytest.approx(nats / log(2) / num_bytes, rel=1e-6)


def test_the_validate_command_measures_what_training_measured(config):
    run = fit(config, "--trainer.val_check_interval=4")
    last = f"--ckpt_path={run / 'checkpoints' / 'last.ckpt'}"
    main(["validate", f"--config={run / 'config.yaml'}", last])
    again = validation_row(newest_run(config))
    assert again["validate/loss"] == pytest.approx(validation_row(run)["validate/loss"], rel=1e-9)


def test_only_adapters_are_saved_and_the_source_is_remembered(config, pretrained):
    run = fit(config, with_adapters(pretrained))
    state = weights(run)
    assert state
    assert all("lora_" in name for name in state)

    from safetensors.torch import load_file, save_file

    file = pretrained / "model.safetensors"
    changed = load_file(file)
    changed["model.norm.weight"] += 1
    save_file(changed, file, metadata={"format": "pt"})
    last = f"--ckpt_path={run / 'checkpoints' / 'last.ckpt'}"
    with refused(r"last\.ckpt was trained with frozen weights"):
        fit(config, with_adapters(pretrained), last)


def test_adapters_resume_bit_for_bit(config, pretrained):
    adapters = with_adapters(pretrained)
    whole = fit(config, adapters, "--trainer.max_steps=6")
    last = f"--ckpt_path={fit(config, adapters) / 'checkpoints' / 'last.ckpt'}"
    resumed = fit(config, adapters, last, "--trainer.max_steps=6")
    assert losses(resumed) == losses(whole)[4:]
    assert all(torch.equal(weights(resumed)[n], v) for n, v in weights(whole).items())


LOGITS = """
import sys, torch
from transformers import AutoModelForCausalLM, AutoTokenizer
for folder in sys.argv[1:]:
    model = AutoModelForCausalLM.from_pretrained(folder)
    token = torch.tensor([AutoTokenizer.from_pretrained(folder).encode("The cat sat on")])
    torch.save((token, model(token).logits.detach()), f"{folder}/logits.pt")
"""


def test_an_export_gives_the_same_logits_in_a_fresh_process(config, tmp_path):
    ema = '--trainer.callbacks+={"class_path": "callbacks.ema.EMA", "init_args": {"decay": 0.5}}'
    checkpoint = fit(config, ema) / "checkpoints" / "last.ckpt"
    folders = {"true": tmp_path / "averaged", "false": tmp_path / "trained"}
    for averaged, folder in folders.items():
        arguments = [f"--config={config}", f"--ckpt_path={checkpoint}", f"--folder={folder}"]
        main(["export", *arguments, f"--ema={averaged}"])
    subprocess.run([sys.executable, "-c", LOGITS, *folders.values()], check=True)

    from modules.causal_lm.system import CausalLM

    system = CausalLM.load_from_checkpoint(checkpoint).eval()
    average = torch.load(checkpoint, weights_only=True)["ema"]["weights"]
    states = {"false": system.state_dict(), "true": system.state_dict() | average}
    for averaged, state in states.items():
        system.load_state_dict(state)
        token, logits = torch.load(folders[averaged] / "logits.pt")
        length = token.shape[1]
        with torch.no_grad():
            expected = system.language_model(token, torch.arange(length)[None], [length])
        torch.testing.assert_close(logits, expected, rtol=0, atol=1e-6)


def test_export_does_not_overwrite(config, tmp_path):
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "file").touch()
    with refused("precious is not empty"):
        main(["export", f"--config={config}", f"--folder={tmp_path / 'precious'}"])


def test_predict_continues_every_prompt_once_and_in_order(config):
    run = fit(config)
    prompts = ["The cat", "", "Rain fell on the old house; nobody", "A"]
    last = f"--ckpt_path={run / 'checkpoints' / 'last.ckpt'}"
    command = ["predict", f"--config={config}", last]
    main(
        [
            *command,
            f"--data.init_args.prompts={json.dumps(prompts)}",
            "--data.init_args.batch_size=3",
        ]
    )
    lines = (newest_run(config) / "predictions.jsonl").read_text().splitlines()
    records = [json.loads(line) for line in lines]
    assert [record["prompt"] for record in records] == prompts
    assert all(isinstance(record["continuation"], str) for record in records)


def test_a_tokenizer_larger_than_the_embedding_is_refused_before_training(config):
    with refused(r"300 ids, the embedding .options of llama. 200 rows"):
        fit(config, "--model.init_args.network.init_args.options.vocab_size=200")


@pytest.mark.slow
def test_a_compiled_network_trains_as_an_eager_one(config):
    eager = fit(config, NO_DROPOUT)
    compiled = fit(config, NO_DROPOUT, "--model.init_args.compile=true")
    assert losses(compiled) == pytest.approx(losses(eager), rel=1e-4)


def test_an_export_in_another_dtype_is_the_rounded_weights(config, tmp_path):
    checkpoint = fit(config) / "checkpoints" / "last.ckpt"
    for dtype in ("bfloat16", "float16"):
        arguments = [f"--config={config}", f"--ckpt_path={checkpoint}", f"--dtype={dtype}"]
        main(["export", *arguments, f"--folder={tmp_path / dtype}"])

        from safetensors.torch import load_file

        stored = load_file(tmp_path / dtype / "model.safetensors")
        trained = torch.load(checkpoint, weights_only=True)["state_dict"]
        assert stored
        for name, value in stored.items():
            expected = trained[f"network.model.{name}"].to(getattr(torch, dtype))
            assert torch.equal(value, expected)
        assert json.loads((tmp_path / dtype / "config.json").read_text())["dtype"] == dtype
