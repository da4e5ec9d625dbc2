"""Cost of combined decoding per token, against its lower bound.

Context-aware decoding reads two rows of one model; it is compared with a bare loop over a cached
forward pass of two rows, with plain decoding, and with the guidance of transformers.

Proxy-tuning reads three models; it is compared with reading all their weights once per token at the
rate of plain decoding of the large model, and with three consecutive calls of the models' own
`forward`. Weights are larger than any cache.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from benchmarks.bench.clock import timed
from benchmarks.bench.harness import Bench, run
from benchmarks.bench.timing import Measure
from modules.decoding.branches.branches import Branch, Branches
from modules.decoding.branches.generate import generate

VOCABULARY = 16_000
LARGE = {"hidden_size": 768, "intermediate_size": 2048, "num_hidden_layers": 12}
SMALL = {"hidden_size": 512, "intermediate_size": 1408, "num_hidden_layers": 8}
HEADS = 8
NUM_NEW = 48
"""Tokens generated per call."""
GIVEN, OTHER = 24, 8
"""Tokens of a prompt with and without its context."""
GREEDY: dict[str, Any] = {"do_sample": False, "max_new_tokens": NUM_NEW, "pad_token_id": 0}


class Silent:
    """The ids that a loop needs of a tokenizer, without an end token."""

    pad_token_id = 0
    eos_token_id = None
    bos_token_id = None


TOKENIZER = Silent()


@dataclass(frozen=True)
class Models:
    """Sizes of the models that are compared.

    Attributes:
        large: Of the base.
        small: Of the two that steer it.
        dtype: Of all weights.
        num_rounds: Of the timings.
    """

    large: dict[str, int]
    small: dict[str, int]
    dtype: torch.dtype = torch.float32
    num_rounds: int = 15


def llama(
    seed: int, sizes: dict[str, int], device: torch.device, dtype: torch.dtype = torch.float32
) -> Any:
    """A random Llama whose texts never end."""
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(seed)
    named = {"num_attention_heads": HEADS, "num_key_value_heads": HEADS, **sizes}
    config = LlamaConfig(vocab_size=VOCABULARY, **named)
    with device:
        model: Any = LlamaForCausalLM._from_config(config, dtype=dtype).eval()
    model.generation_config.eos_token_id = None
    return model


def weight_bytes(model: Any) -> int:
    """Bytes that are read for a token: all but the table of embeddings."""
    named = model.named_parameters()
    return sum(p.numel() * p.element_size() for name, p in named if "embed_tokens" not in name)


def no_prompt(question: Any, tokenizer: Any) -> str:
    """Nothing: prompts are given as tokens."""
    return ""


def branch(model: Any, weight: float) -> Branch:
    """A branch without a prompt of its own."""
    return Branch(model, TOKENIZER, no_prompt, weight)


def tokens(num: int, seed: int) -> list[int]:
    """A prompt."""
    return torch.randint(
        1, VOCABULARY, (num,), generator=torch.Generator().manual_seed(seed)
    ).tolist()


def per_token(device: torch.device) -> Callable[[Callable[[], Any]], Measure]:
    """Makes measures: seconds of some work on a device for each token that it writes."""
    return partial(timed, device=device, count=NUM_NEW)


@torch.no_grad()
def forward_loop(model: Any, token_BL: Tensor) -> None:
    """A cached forward pass a token, and the arg max, as one writes it by hand."""
    out = model(input_ids=token_BL, use_cache=True)
    for _ in range(NUM_NEW - 1):
        token_B1 = out.logits[:, -1:].argmax(-1)
        out = model(input_ids=token_B1, past_key_values=out.past_key_values, use_cache=True)
    out.logits[:, -1:].argmax(-1)


def context_aware(bench: Bench, model: Any, num_rounds: int = 15) -> None:
    """Two rows of one model."""
    device, measured = bench.device, per_token(bench.device)
    pair = Branches((branch(model, 1.5), branch(model, -0.5)))
    prompt_ids, other = tokens(GIVEN, 0), tokens(OTHER, 1)
    token_1L, other_1L = (torch.tensor([ids], device=device) for ids in (prompt_ids, other))
    mask = {"attention_mask": torch.ones_like(token_1L)}
    guidance = {"guidance_scale": 1.5, "negative_prompt_ids": other_1L}
    two_rows = torch.tensor([prompt_ids, tokens(GIVEN, 2)], device=device)
    measures = {
        "ours": measured(lambda: generate(pair, [[prompt_ids], [other]], **GREEDY)),
        "two rows": measured(lambda: forward_loop(model, two_rows)),
        "plain": measured(lambda: model.generate(token_1L, **mask, **GREEDY)),
        "transformers": measured(lambda: model.generate(token_1L, **mask, **guidance, **GREEDY)),
    }
    bench.details["greatest difference of logits"] = difference(pair, prompt_ids, other)
    timings = bench.time("context-aware", measures, "two rows", num_rounds)
    ratio, peer = (timings.ratio(name, "two rows") for name in ("ours", "transformers"))
    what = "context-aware decoding, per token / cached forward of two rows"
    bench.row(10, what, ratio, 1.05, timings, peer=peer, limit=1.0)
    if device.type == "cuda":
        what = "context-aware decoding, per token / plain decoding"
        ratio, peer = (timings.ratio(name, "plain") for name in ("ours", "transformers"))
        bench.row(10, what, ratio, 1.10, timings, peer=peer, limit=1.0)
    for name in ("ours", "two rows", "transformers"):
        bench.details[f"{name} / plain decoding"] = timings.ratio(name, "plain").median


@torch.no_grad()
def difference(pair: Branches, prompt_ids: list[int], other: list[int]) -> float:
    """Of the last step's logits from a pass over everything, without a cache."""
    how = {**GREEDY, "output_logits": True, "return_dict_in_generate": True}
    out = generate(pair, [[prompt_ids], [other]], **how)
    written = out.sequences[0, len(prompt_ids) : -1].tolist()
    logits = [
        one.weight * one.model(torch.tensor([ids + written], device=one.model.device)).logits[0, -1]
        for one, ids in zip(pair.branches, (prompt_ids, other), strict=True)
    ]
    return float((out.logits[-1][0] - sum(logits)).abs().max())


def proxy(bench: Bench, large: Any, sizes: Models) -> None:
    """Three models."""
    device, measured = bench.device, per_token(bench.device)
    expert, antiexpert = (llama(seed, sizes.small, device, sizes.dtype) for seed in (1, 2))
    models = (large, expert, antiexpert)
    three = Branches(tuple(branch(m, w) for m, w in zip(models, (1, 1, -1), strict=True)))
    prompt_ids = tokens(GIVEN, 0)
    token_1L = torch.tensor([prompt_ids], device=device)
    mask = {"attention_mask": torch.ones_like(token_1L)}

    def sequential() -> None:
        for model in models:
            model.generate(token_1L, **mask, **GREEDY)

    measures = {
        "ours": measured(lambda: generate(three, [[prompt_ids]] * 3, **GREEDY)),
        "base": measured(lambda: forward_loop(large, token_1L)),
        "sequential": measured(sequential),
    }
    bound = sum(map(weight_bytes, models)) / weight_bytes(large)
    timings = bench.time("proxy-tuning", measures, "base", sizes.num_rounds)
    ours, peer = (timings.ratio(name, "base") for name in ("ours", "sequential"))
    what = f"proxy-tuning, per token / weight bytes at the base's rate ({bound:.2f} x base)"
    goal = bench.aim(1.15, 1.10)
    bench.row(11, what, scaled(ours, bound), goal, timings, peer=scaled(peer, bound), limit=1.0)
    bench.details["bound"] = bound


def scaled(one: Any, by: float) -> Any:
    """An estimate over a number."""
    return type(one)(one.median / by, one.low / by, one.high / by)


def measure(bench: Bench, sizes: Models = Models(LARGE, SMALL)) -> None:
    """Both."""
    large = llama(0, sizes.large, bench.device, sizes.dtype)
    small = llama(1, sizes.small, torch.device("meta"))
    bench.details["parameters"] = {
        "large": sum(p.numel() for p in large.parameters()),
        "small": sum(p.numel() for p in small.parameters()),
    }
    context_aware(bench, large, sizes.num_rounds)
    proxy(bench, large, sizes)


if __name__ == "__main__":
    run("decoding", measure)
