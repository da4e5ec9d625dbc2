"""Small real runs of LMFusion: a tiny pretrained Llama, captioned shapes, a few steps."""

import csv
import multiprocessing
import socket
from hashlib import blake2b
from pathlib import Path

import torch
import yaml
from transformers import LlamaConfig, LlamaForCausalLM

from modules.lmfusion.noise import Noised, add, draw_steps
from modules.lmfusion.system import LMFusion
from tests.runs import newest_run, rank_main

PATCHIFIER = {
    "class_path": "modules.lmfusion.patchify.LinearPatchifier",
    "init_args": {"size": 32, "channels": 3, "patch": 8},
}
EMA = '--trainer.callbacks+={"class_path": "callbacks.ema.EMA", "init_args": {"decay": 0.5}}'


def write_llama(folder: Path, seed: int = 1) -> Path:
    """A pretrained language model of the tokenizer's 300 ids."""
    torch.manual_seed(seed)
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2}
    config = LlamaConfig(vocab_size=300, num_attention_heads=4, num_key_value_heads=2, **sizes)
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


def shapes(num: int, seed: int) -> dict[str, object]:
    return {
        "class_path": "datamodules.shape_pairs.ShapePairs",
        "init_args": {"num": num, "seed": seed},
    }


def write_config(folder: Path, llama: Path, tokenizer: Path) -> Path:
    """Four steps of four documents, 40 an epoch."""
    network = {"source": str(llama), "patchifier": PATCHIFIER}
    config = {
        "model": {
            "class_path": "modules.lmfusion.system.LMFusion",
            "init_args": {
                "network": {
                    "class_path": "modules.lmfusion.network.BesideLlama",
                    "init_args": network,
                },
                "tokenizer": str(tokenizer),
                "prediction": "v",
                "optimizer": {"class_path": "torch.optim.AdamW", "init_args": {"lr": 0.01}},
                "generation": {"num_steps": 3, "max_new_tokens": 4},
            },
        },
        "data": {
            "class_path": "datamodules.fusion.FusionData",
            "init_args": {
                "tokenizer": str(tokenizer),
                "train": [shapes(40, 0)],
                "validate": [shapes(6, 1)],
                "num_patches": 16,
                "batch_size": 4,
                "caption_first": 0.6,
                "caption_dropout": 0.2,
            },
        },
        "trainer": {
            "accelerator": "cpu",
            "devices": 1,
            "precision": "32-true",
            "max_steps": 4,
            "log_every_n_steps": 1,
            "logger": {
                "class_path": "engine.run.RunLogger",
                "init_args": {"root": str(folder / "runs"), "tensorboard": False},
            },
        },
    }
    path = folder / "tiny" / "lines.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(config))
    return path


def rows(run: Path, name: str) -> list[float]:
    """A quantity of metrics.csv, row by row."""
    with (run / "metrics.csv").open() as file:
        return [float(row[name]) for row in csv.DictReader(file) if row.get(name)]


def noise_of_each_image(self: LMFusion, batch, generator=None) -> Noised:
    """`LMFusion.noise`, but decided by each image alone, whatever batch it is in."""
    noised = []
    for i, latent in enumerate(batch["latent_ICHW"]):
        digest = blake2b(latent.numpy().tobytes(), digest_size=4).digest()
        die = torch.Generator().manual_seed(int.from_bytes(digest, "little"))
        one = slice(i, i + 1)
        which = batch["is_target_I"][one], batch["is_first_I"][one]
        step = draw_steps(*which, self.schedule.num_steps, self.largest_readable_step, die)
        noised.append(add(latent[None], step, self.schedule, self.prediction, die))
    names = ("latent_ICHW", "step_I", "target_ICHW", "abar_I")
    return Noised(*(torch.cat([getattr(one, name) for one in noised]) for name in names))


def predict_on_ranks(config: Path, *extra: str) -> Path:
    """Predict on two gloo ranks."""
    return on_ranks("predict", config, *extra)


def on_ranks(command: str, config: Path, *extra: str) -> Path:
    """Run a command on two gloo ranks."""
    args = [command, f"--config={config}", *extra, "--trainer.devices=2"]
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    context = multiprocessing.get_context("fork")
    logs = [config.parent / f"rank{rank}.log" for rank in range(2)]
    ranks = [
        context.Process(target=rank_main, args=(rank, 2, port, args, logs[rank]))
        for rank in range(2)
    ]
    for process in ranks:
        process.start()
    for process in ranks:
        process.join(60)
    failed = [rank for rank, process in enumerate(ranks) if process.exitcode != 0]
    for process in ranks:
        process.kill()
    assert not failed, f"ranks {failed} failed:\n" + logs[failed[0]].read_text()[-3000:]
    return newest_run(config)
