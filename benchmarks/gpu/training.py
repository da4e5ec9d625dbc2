"""Training steps on a GPU: LMFusion, attention and language models (rows 3, 4 and 5)."""

import torch

from benchmarks import attention, lmfusion_step, model_flops
from benchmarks.baselines.fusion_cases import SMALL, Size
from benchmarks.bench.harness import Bench

BF16 = torch.bfloat16
FUSION = Size(2048, 7168, 8, 16, 4, 32_000)
REPEATS = {40: 12, 512: 8}
"""How many times as many documents as in `lmfusion_step` a batch has, by their mean length."""
HEADS = attention.Heads(16, 4, 128, BF16, rtol=5e-3, atol=5e-3)
"""Products of fused kernels in float32 may be of TensorFloat-32, hence the tolerance."""
CAPTIONS = attention.CAPTIONS * 4
LLAMA = model_flops.Size(hidden=2048, intermediate=5632, num_layers=16, num_heads=16)
TINY_LLAMA = model_flops.Size(hidden=64, intermediate=128, num_layers=1, num_heads=2)
LONGER = 8
"""Documents of `model_flops` are so many times as long: 16,384 tokens a step."""


def fusion_step(bench: Bench) -> None:
    """Time of a training step of LMFusion over that of a dense model on the same tokens."""
    for mean, repeats in REPEATS.items():
        size, again = (SMALL, 1) if bench.quick else (FUSION, repeats)
        lmfusion_step.compare(bench, size, mean, again, BF16)


def hybrid_attention(bench: Bench) -> None:
    """Hybrid attention t(4S) / t(S), and the time of its plan."""
    attention.compare_growth(bench, attention.CAPTIONS[:1] if bench.quick else CAPTIONS, HEADS)
    size, repeats = (SMALL, 1) if bench.quick else (FUSION, REPEATS[40])
    attention.compare_plan(bench, size, repeats, BF16)


def language_model(bench: Bench) -> None:
    """Model FLOP/s of a Llama over the rate of its own matrix products."""
    for precision in model_flops.PRECISIONS[1 : 2 if bench.quick else None]:
        of_precision(bench, precision, compiles=False)


def compiled(bench: Bench) -> None:
    """The same with the compiled network, which takes long to compile."""
    of_precision(bench, model_flops.PRECISIONS[1], compiles=True)


def of_precision(bench: Bench, precision: model_flops.Precision, compiles: bool) -> None:
    """One precision."""
    size, longer = (TINY_LLAMA, 1) if bench.quick else (LLAMA, LONGER)
    model_flops.compare(bench, size, precision, 15, longer, compiles)
