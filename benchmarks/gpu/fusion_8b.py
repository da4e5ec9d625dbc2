"""LMFusion at the size of Llama-3-8B on one GPU: tokens/s, and memory beside its estimate (row 6).

The config is `configs/lmfusion/llama3_8b.yaml` with bfloat16 weights, as it advises for one GPU of
141 GB. Weights are random and are made on the device; the batch is the blank one that `cli.py
estimate` counts. A step has as many micro-batches as the config says: one is timed, and the update.
"""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import lightning as L
import torch
from torch.utils._pytree import tree_map_only

from benchmarks.bench.clock import timed
from benchmarks.bench.from_config import configured
from benchmarks.bench.harness import Bench
from benchmarks.bench.timing import estimate
from engine.disk.weightless import weightless
from engine.estimate.gpus import GIB
from engine.estimate.paper import Exemplary, OnPaper, counted, loss_of, made_optimizer
from engine.estimate.rank_memory import RankLayout, on_rank
from engine.estimate.stand_ins import found_shape, write_stand_in
from engine.measure.machine import matmul_rate
from engine.measure.paper_step import run_step
from engine.run.precision import HalfWeights

CONFIG = Path("configs/lmfusion/llama3_8b.yaml")
MODEL = "Meta-Llama-3-8B"
PRECISION: Final = "bf16-true"
BATCHES = (56, 28, 14)
"""Documents of a micro-batch: the config's, and fewer where they do not fit."""
SMALLER = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 512,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
WIDTHS = "--model.init_args.network.init_args.patchifier.init_args.widths=[32, 64]"
NUM_WARM, NUM_TIMED = 2, 7


class Built:
    """The system, its trainer and a batch, none of which was run.

    Args:
        source: Folder with the shape of the language model and a tokenizer.
        documents: Of a micro-batch.
        overrides: Further options.
    """

    def __init__(self, source: Path, documents: int, *overrides: str):
        options = (
            f"--model.init_args.network.init_args.source={source}",
            f"--data.init_args.tokenizer={source}",
            f"--data.init_args.batch_size={documents}",
            f"--trainer.precision={PRECISION}",
            "--trainer.accelerator=cpu",
            "--trainer.devices=1",
            "--trainer.logger=false",
        )
        built = configured([CONFIG], *options, *overrides)
        self.trainer: L.Trainer = built.trainer
        self.model: L.LightningModule = built.model
        self.data = built.datamodule
        assert isinstance(self.data, Exemplary)
        batch, self.tokens = self.data.example()
        self.batch: Any = HalfWeights(PRECISION).convert_input(batch)  # as Lightning's loops do

    def on_paper(self) -> OnPaper:
        """What `cli.py estimate` counts of it."""
        return counted(self.trainer, self.model, self.data, HalfWeights(PRECISION))

    def for_real(self, device: torch.device) -> L.LightningModule:
        """The system with random weights on a device."""
        precision = HalfWeights(PRECISION)
        with device, weightless(), precision.module_init_context():
            self.model.configure_model()
        precision.convert_module(self.model.to(device))
        self.trainer.strategy.connect(self.model)
        self.model.trainer = self.trainer
        return self.model.train()


def measure(bench: Bench) -> None:
    """Tokens/s and peak memory of LMFusion-8B on one GPU, beside the estimate."""
    with TemporaryDirectory() as folder:
        source, options = Path(folder) / MODEL, [WIDTHS] if bench.quick else []
        write_stand_in(shape(bench.quick), source)
        documents = 2 if bench.quick else fitting(bench, source)
        paper = Built(source, documents, *options)
        found = paper.on_paper()
        if found.fault:
            raise RuntimeError(f"the step could not be run on paper: {found.fault}")
        bench.details["documents"], bench.details["tokens"] = documents, paper.tokens
        if bench.device.type != "cuda":
            beside_living(bench, Built(source, documents, *options), found)
        judge(bench, found)


def shape(quick: bool) -> dict[str, Any]:
    """The config of the language model."""
    known = found_shape(MODEL, [])
    assert known is not None
    content: dict[str, Any] = json.loads(known.read_text())
    return content | (SMALLER if quick else {})


def fitting(bench: Bench, source: Path) -> int:
    """Time the largest micro-batch that fits; returns its documents.

    Raises:
        torch.OutOfMemoryError: Not even the smallest fits.
    """
    model = Built(source, BATCHES[0]).for_real(bench.device)
    optimizer = made_optimizer(model)
    for documents in BATCHES:
        try:
            time_step(bench, Built(source, documents), model, optimizer)
            return documents
        except torch.OutOfMemoryError as error:
            bench.details[f"{documents} documents"] = str(error).split(". ")[0]
            optimizer.zero_grad()
        torch.cuda.empty_cache()
    raise torch.OutOfMemoryError(f"not even {BATCHES[-1]} documents fit")


def time_step(bench: Bench, built: Built, model: L.LightningModule, optimizer: Any) -> None:
    """Time micro-batches and updates, and note the most memory that was allocated."""
    device = bench.device
    move = tree_map_only(torch.Tensor, lambda one: one.to(device), built.batch)
    passes = timed(lambda: loss_of(model, move)().backward(), device)
    update = timed(partial(updated, model, optimizer), device)
    torch.cuda.reset_peak_memory_stats(device)
    bench.say(f"first step: {passes():.2f} s, {update():.2f} s")
    for _ in range(NUM_WARM):
        passes()
    updates = [update() for _ in range(2)]
    times = [passes() for _ in range(NUM_TIMED)]  # gradients add up meanwhile, as they do in a run
    updates.append(update())
    peak = bench.details["peak_bytes"] = torch.cuda.max_memory_allocated(device)
    bench.row(6, "LMFusion-8B: peak memory, GiB", peak / GIB, 125)
    bench.details["reserved_bytes"] = torch.cuda.max_memory_reserved(device)
    bench.details["seconds_a_micro_batch"] = estimate(times).median
    bench.details["seconds_an_update"] = min(updates)
    micro = int(built.trainer.accumulate_grad_batches)
    whole = micro * estimate(times).median + min(updates)
    bench.details["tokens_per_second"] = micro * built.tokens / whole
    what = f"LMFusion-8B, {PRECISION}: tokens/s"
    bench.row(6, what, micro * built.tokens / whole, 13_000, at_least=True)


def updated(model: L.LightningModule, optimizer: Any) -> None:
    """Clip, step and set gradients to zero; their memory stays, as between micro-batches."""
    trained = [p for p in model.parameters() if p.grad is not None]
    torch.nn.utils.clip_grad_norm_(trained, 1.0)
    optimizer.step()
    optimizer.zero_grad(set_to_none=False)


def beside_living(bench: Bench, built: Built, found: OnPaper) -> None:
    """On a CPU, which has no allocator to ask: the bytes of all living tensors of a real step."""
    model = built.for_real(bench.device)
    loss: Callable[[], Any] = loss_of(model, built.batch)
    keeps = built.trainer.accumulate_grad_batches > 1
    step = run_step(model, loss, made_optimizer(model), keeps_gradients=keeps)
    bench.details["peak_bytes"] = step.peak


def judge(bench: Bench, found: OnPaper) -> None:
    """Memory beside the estimate, and the share of the device's rate."""
    peak = bench.details["peak_bytes"]
    estimated = on_rank(found.model, RankLayout("ddp", 1)).total
    bench.details["estimated_bytes"] = estimated
    what = f"LMFusion-8B: estimate ({estimated / GIB:.4g} GiB) of peak memory: relative error"
    bench.row(6, what, abs(estimated / peak - 1), 0.10)
    step = found.model.step
    flops = step.flops - step.recomputed
    bench.details["model_flops_a_micro_batch"] = flops
    if "seconds_a_micro_batch" in bench.details:
        rate = matmul_rate(bench.device, torch.bfloat16, 8192)
        bench.details["matmul_rate"] = rate
        mfu = flops / bench.details["seconds_a_micro_batch"] / rate
        bench.row(6, "LMFusion-8B: model FLOP/s / matmul rate", mfu, 0.5, limit=1.0, at_least=True)
