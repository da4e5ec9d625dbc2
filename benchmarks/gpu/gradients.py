"""Products of gradients on a GPU (row 12), and what LMFusion executes and saves (rows 2 and 7)."""

from typing import Any

from benchmarks import gradient_similarity, lmfusion_flops
from benchmarks.baselines.fusion_cases import SMALL, Size
from benchmarks.bench.harness import Bench

SIZES: dict[str, Any] = gradient_similarity.SIZES | {
    "vocab_size": 16_000,
    "hidden_size": 1024,
    "intermediate_size": 2816,
    "num_hidden_layers": 12,
    "num_attention_heads": 16,
}
LAYERS = Size(4096, 14_336, 4, 32, 8, 32_000)
"""Four blocks of Llama-3-8B."""


def similarity(bench: Bench) -> None:
    """Products and cosines of gradients over a plain forward and backward pass."""
    gradient_similarity.measure(bench, SIZES)


def fusion_counts(bench: Bench) -> None:
    """Executed FLOPs and saved bytes over their minimum, with the kernels of this device."""
    size, device = SMALL if bench.quick else LAYERS, str(bench.device)
    variants = lmfusion_flops.Variants.of(size, device)
    for order in lmfusion_flops.ORDERS:
        for mean in lmfusion_flops.MEANS[:1] if bench.quick else lmfusion_flops.MEANS:
            lmfusion_flops.count(bench, size, variants, order, mean, device)
