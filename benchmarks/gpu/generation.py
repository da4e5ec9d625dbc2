"""Decoding and diffusion on a GPU (rows 9, 10, 11 and 13)."""

import torch

from benchmarks import codec, decoding, simplex_step
from benchmarks.bench.harness import Bench

BF16 = torch.bfloat16
LARGE = {"hidden_size": 4096, "intermediate_size": 11_008, "num_hidden_layers": 16}
"""3.4 B parameters: 6.7 GB in bfloat16, far more than any cache."""
SMALL = {"hidden_size": 2048, "intermediate_size": 5632, "num_hidden_layers": 12}
HEADS = {"num_attention_heads": 32, "num_key_value_heads": 32}
SMALL_HEADS = {"num_attention_heads": 16, "num_key_value_heads": 16}
TINY = {"hidden_size": 64, "intermediate_size": 64, "num_hidden_layers": 1}
ARTICLES = 16


def cached(bench: Bench) -> None:
    """Bytes of weights per second in cached decoding, over copied bytes per second."""
    codec.decoding(bench, TINY if bench.quick else LARGE, BF16)


def combined(bench: Bench) -> None:
    """Context-aware decoding and proxy-tuning, per token."""
    full = decoding.Models(LARGE | HEADS, SMALL | SMALL_HEADS, BF16, num_rounds=4)
    decoding.measure(bench, decoding.Models(TINY, TINY, BF16) if bench.quick else full)


def simplex(bench: Bench) -> None:
    """A step of simplex diffusion over its encoder and two products with the vocabulary."""
    simplex_step.measure(bench, 1 if bench.quick else ARTICLES)
