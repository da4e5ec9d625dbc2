"""What `cli.py estimate` says of memory against what is measured here, and what others published.

Here: steps of small Llamas on this CPU, by the bytes of all living tensors and, by other means, by
the memory of the process as the kernel counts it. Elsewhere: Llama-3-8B on 8 and 128 H100, as
torchtitan's team published it; its settings are taken over as far as they are stated. What it
publishes is the memory that is reserved, fragments included.
"""

import ctypes
import gc
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.optim import AdamW
from torch.utils.checkpoint import CheckpointPolicy, create_selective_checkpoint_contexts

from benchmarks.bench.harness import Bench, run
from engine.estimate.gpus import GIB
from engine.estimate.rank_memory import PaperModel, RankLayout, on_rank
from engine.measure.live_bytes import GRADIENTS, OPTIMIZER, WEIGHTS, fake_mode
from engine.measure.paper_step import PaperStep, ParameterSize, run_step, without_memory
from engine.parallel.fsdp2 import find_blocks
from modules.causal_lm.architecture.options import Option
from modules.causal_lm.network import FromConfig, LanguageModel

GOAL = 0.10
"""Largest error that counts as right."""
MMAP_THRESHOLD = -3
"""Of glibc's mallopt: larger blocks go back to the kernel when they are freed."""
LLAMA_3_8B: dict[str, Option] = {
    "hidden_size": 4096,
    "intermediate_size": 14_336,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "max_position_embeddings": 8192,
}
VOCABULARY = 128_256
TITAN = {8: (82.4, 5762), 128: (67.0, 5605)}
"""GiB and tokens/s of a GPU: benchmarks/llama3_h100_202412_torchtitan.md in pytorch/torchtitan."""
MFU = 0.33
"""Share of 989 TFLOP/s that the same file states for these runs, without torch.compile."""


@dataclass(frozen=True)
class SmallLlama:
    """A small Llama and a batch.

    Attributes:
        name: In the rows.
        hidden: Width.
        vocabulary: Tokens.
        rows: Of a batch.
        again: Whether activations are computed again.
        mixed: Whether products are in bfloat16.
    """

    name: str
    hidden: int = 256
    vocabulary: int = 4096
    rows: int = 8
    again: bool = False
    mixed: bool = False

    def build(self, device: str) -> LanguageModel:
        """The network."""
        options: dict[str, Option] = {
            "hidden_size": self.hidden,
            "intermediate_size": 2 * self.hidden,
            "num_hidden_layers": 6,
            "num_attention_heads": 4,
            "num_key_value_heads": 4,
            "max_position_embeddings": 256,
        }
        with torch.device(device):
            return FromConfig(self.vocabulary, options, activation_checkpointing=self.again).train()


CASES = (
    SmallLlama("as it is"),
    SmallLlama("activations again", rows=16, again=True),
    SmallLlama("mixed", rows=16, mixed=True),
    SmallLlama("wide", hidden=512, vocabulary=16_384, rows=2),
)


def step(case: SmallLlama, is_fake: bool, watch: Callable[[], None] = lambda: None) -> PaperStep:
    """A step of a case, on paper or for real.

    Args:
        case: What is trained.
        is_fake: Whether on paper.
        watch: Called when the network is there and the step begins.
    """
    network = case.build("meta" if is_fake else "cpu")
    fake = fake_mode() if is_fake else None
    if fake is not None:
        without_memory(network, fake)
    length = 256
    token_BL = torch.zeros(case.rows, length, dtype=torch.int64)
    position_BL = torch.arange(length).expand(case.rows, length)
    lengths = [length] * case.rows
    loss = partial(network.loss, token_BL, token_BL, position_BL, lengths)
    around = torch.autocast("cpu", torch.bfloat16) if case.mixed else nullcontext()
    watch()
    return run_step(network, loss, AdamW(network.parameters(), foreach=True), fake, around)


def resident(name: str) -> int:
    """Bytes of this process in memory, by a name of /proc/self/status."""
    lines = Path("/proc/self/status").read_text().splitlines()
    [line] = [line for line in lines if line.startswith(f"{name}:")]
    return int(line.split()[1]) * 1024


def resident_peak(case: SmallLlama) -> int:
    """Most bytes that a real step adds to this process, as the kernel counts them."""
    step(case, is_fake=False)  # kernels keep what they set up
    gc.collect()
    before = resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # begins the peak anew
    step(case, is_fake=False)
    return resident("VmHWM") - before


def here(bench: Bench) -> None:
    """Estimates against what small models take on this machine."""
    ctypes.CDLL("libc.so.6").mallopt(MMAP_THRESHOLD, 1 << 16)  # before any tensor is made
    for case in CASES[: 1 if bench.quick else None]:
        on_paper = step(case, is_fake=True)
        real, kernel = step(case, is_fake=False), resident_peak(case)
        bench.details[case.name] = {
            "on_paper_mb": on_paper.peak / 1e6,
            "live_mb": real.peak / 1e6,
            "process_mb": kernel / 1e6,
        }
        bench.say(f"{case.name}: {bench.details[case.name]}")
        what = f"memory of a step, {case.name}: error of the estimate"
        bench.row(6, f"{what} beside all living tensors", off(on_paper.peak, real.peak), GOAL)
        bench.row(6, f"{what} beside the process", off(on_paper.peak, kernel), GOAL)
        bench.row(6, f"FLOPs of a step, {case.name}: error", off(on_paper.flops, real.flops), GOAL)


def off(estimate: float, measured: float) -> float:
    """Relative error."""
    return abs(estimate / measured - 1)


class EverySecondProduct:
    """Saves every second matrix product, and attention, as torchtitan's selective option does."""

    def __init__(self) -> None:
        self.count = {True: 0, False: 0}

    def __call__(self, ctx: Any, func: Any, *args: Any, **kwargs: Any) -> CheckpointPolicy:
        """Whether to save what an operator made."""
        saved = func is not torch.ops.aten.mm.default
        if not saved:
            self.count[ctx.is_recompute] += 1
            saved = self.count[ctx.is_recompute] % 2 == 1
        elif "scaled_dot_product" not in str(func):
            saved = False
        return CheckpointPolicy.MUST_SAVE if saved else CheckpointPolicy.PREFER_RECOMPUTE


def titan_step() -> PaperModel:
    """A micro-batch of torchtitan's: two rows of 8,192, products in bfloat16.

    Shards are in 32 bits, and are gathered in 16; gradients are reduced in 32.
    """
    with torch.device("meta"):
        network = FromConfig(VOCABULARY, LLAMA_3_8B).train().to(torch.bfloat16)
    contexts = lambda: create_selective_checkpoint_contexts(EverySecondProduct())  # noqa: E731
    network.model.gradient_checkpointing_enable({"use_reentrant": False, "context_fn": contexts})
    fake = fake_mode()
    without_memory(network, fake)
    token_BL = torch.zeros(2, 8192, dtype=torch.int64)
    position_BL = torch.arange(8192).expand(2, 8192)
    loss = partial(network.loss, token_BL, token_BL, position_BL, [8192] * 2)
    found = run_step(network, loss, AdamW(network.parameters(), foreach=True), fake)
    blocks = [ParameterSize.of(block.parameters()) for block in find_blocks(network, None)]
    head = ParameterSize.of(network.model.lm_head.parameters())
    wide = np.ones(5, np.int64)
    wide[[WEIGHTS, GRADIENTS, OPTIMIZER]] = 2
    passes, update = found.passes * wide, found.update * 2
    whole = PaperStep(
        found.size, 2 * found.optimizer, passes, update, found.flops, found.recomputed
    )
    return PaperModel(whole, blocks[0], head)


def elsewhere(bench: Bench) -> None:
    """Estimates against published figures of torchtitan."""
    model = titan_step()
    tokens = 2 * 8192
    flops = (model.step.flops - model.step.recomputed) / tokens
    for devices, (gib, rate) in TITAN.items():
        found = on_rank(model, RankLayout("fsdp2", devices)).total / GIB
        speed = MFU * 989e12 / flops
        bench.details[f"torchtitan, {devices} GPUs"] = {
            "estimated_gib": found,
            "published_gib": gib,
            "estimated_tokens_per_second": speed,
            "published_tokens_per_second": rate,
            "model_flops_a_token": flops,
        }
        bench.say(f"{devices} GPUs: {bench.details[f'torchtitan, {devices} GPUs']}")
        said = f"Llama-3-8B, selective, {devices} H100: {found:.1f} GiB, published {gib}"
        bench.row(6, f"{said}: error", off(found, gib), GOAL, paper=f"{gib} GiB")
        said = f"tokens/s a GPU at {MFU:.0%}: {speed:,.0f}, published {rate:,}"
        bench.row(6, f"{said}: error", off(speed, rate), GOAL, paper=f"{rate} tokens/s")


def measure(bench: Bench) -> None:
    """Memory and operations on paper beside measured and published ones."""
    if bench.wants("here"):
        here(bench)
    if bench.wants("elsewhere") and not bench.quick:
        elsewhere(bench)


if __name__ == "__main__":
    run("estimates", measure, parts=("here", "elsewhere"))
