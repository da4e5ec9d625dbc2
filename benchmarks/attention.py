"""How the time of hybrid attention grows with the number of documents of one length.

Forward and backward of attention alone, in float32, over S and over 4S positions of documents with
captions of unlike lengths and 256 patches each; all positions attend. Work that keeps documents
apart grows by four. The peer is one call under a dense mask of S x S, which grows by sixteen.
Both must give the same output and gradients before they are timed.

The plan, which stands in the mask's place, is built once a batch; its time is compared with that of
a whole training step of `lmfusion_step`.

Shape legend: S = positions, H = query heads, G = key-value heads, E = head size.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from time import perf_counter
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.baselines.fusion_cases import FusionCase, Size
from benchmarks.bench.harness import Bench, run
from benchmarks.bench.timing import Measure
from benchmarks.lmfusion_step import LENGTHS, SIZE, our_step
from engine.measure.machine import synchronise
from modules.lmfusion.network.attention import run_attention
from modules.lmfusion.network.mask import Plan, hybrid_mask

CAPTIONS = (24, 40, 44, 52)
"""Text tokens of the documents that make S positions."""
NUM_PLANS = 20
"""Plans of one timing."""


@dataclass(frozen=True)
class Heads:
    """Sizes of attention, and how exact it must be.

    Attributes:
        query: H.
        key: G.
        size: E.
        dtype: Of queries, keys and values.
        rtol: Largest relative difference from the dense mask, in float32.
        atol: Largest absolute one.
    """

    query: int = 8
    key: int = 2
    size: int = 64
    dtype: torch.dtype = torch.float32
    rtol: float = 1e-4
    atol: float = 1e-5


HEADS = Heads()


class Inputs(NamedTuple):
    """Queries, keys and values of all positions, and what the output's gradient is."""

    query_SHE: Tensor
    key_SGE: Tensor
    value_SGE: Tensor
    gradient_SHE: Tensor

    @staticmethod
    def of(length: int, device: torch.device, sizes: Heads = HEADS) -> "Inputs":
        """Random numbers that are always the same."""
        dice = torch.Generator().manual_seed(0)
        heads = (sizes.query, sizes.key, sizes.key, sizes.query)
        query, key, value, gradient = (
            torch.randn(length, num, sizes.size, generator=dice).to(device, sizes.dtype)
            for num in heads
        )
        query, key, value = (x.requires_grad_() for x in (query, key, value))
        return Inputs(query, key, value, gradient)


Attention = Callable[[Tensor, Tensor, Tensor], Tensor]
"""Output [S, H, E] of queries, keys and values."""


def planned(case: FusionCase, device: torch.device) -> Attention:
    """Ours."""
    plan = Plan.of(case.runs, device, live_prefix=True)
    return lambda query, key, value: run_attention(query, key, value, plan, query.shape[-1] ** -0.5)


def dense(case: FusionCase, device: torch.device) -> Attention:
    """One call under the dense mask."""
    batch = case.batch
    mask_SS = hybrid_mask(batch["position_S"], batch["document_S"], batch["image_id_S"]).to(device)

    def attend(query_SHE: Tensor, key_SGE: Tensor, value_SGE: Tensor) -> Tensor:
        q, k, v = (x.transpose(0, 1)[None] for x in (query_SHE, key_SGE, value_SGE))
        k, v = (x.repeat_interleave(q.shape[1] // x.shape[1], dim=1) for x in (k, v))
        out = F.scaled_dot_product_attention(q, k, v, mask_SS)
        return out[0].transpose(0, 1)

    return attend


def passed(attention: Attention, inputs: Inputs) -> tuple[Tensor, ...]:
    """Output, and gradients of queries, keys and values."""
    three = inputs[:3]
    out = attention(*three)
    return out.detach(), *torch.autograd.grad(out, three, inputs.gradient_SHE)


def check(case: FusionCase, device: torch.device, sizes: Heads = HEADS) -> None:
    """Refuse to time attention that is not that of the hybrid mask.

    Raises:
        RuntimeError: Names what differs, and by how much.
    """
    wide = replace(sizes, dtype=torch.float32)
    inputs = Inputs.of(len(case.batch["position_S"]), device, wide)
    found, wanted = (passed(make(case, device), inputs) for make in (planned, dense))
    for name, one, other in zip(("output", "dQ", "dK", "dV"), found, wanted, strict=True):
        if not torch.allclose(one, other, rtol=sizes.rtol, atol=sizes.atol):
            raise RuntimeError(f"{name} differs by up to {(one - other).abs().max().item():.2g}")


def timed(attention: Attention, inputs: Inputs, device: torch.device, repeats: int) -> Measure:
    """Seconds of one forward and backward, the mean of some in a row."""

    def seconds() -> float:
        synchronise(device)
        start = perf_counter()
        for _ in range(repeats):
            passed(attention, inputs)
        synchronise(device)
        return (perf_counter() - start) / repeats

    return seconds


def compare_growth(
    bench: Bench, captions: tuple[int, ...], sizes: Heads = HEADS, num_rounds: int = 15
) -> None:
    """Ours and the dense mask, over S and 4S positions."""
    device = bench.device
    cases = {"S": FusionCase.of(SIZE, captions), "4S": FusionCase.of(SIZE, captions * 4)}
    check(cases["S"], device, sizes)
    bench.say("output and gradients are those of the hybrid mask")
    measures: dict[str, Measure] = {}
    lengths = {}
    for name, case in cases.items():
        lengths[name] = len(case.batch["position_S"])
        inputs = Inputs.of(lengths[name], device, sizes)
        for kind, make in (("ours", planned), ("dense", dense)):
            repeats = 4 if name == "S" else 1
            measures[f"{kind} {name}"] = timed(make(case, device), inputs, device, repeats)
    what = f"attention, S = {lengths['S']}"
    timings = bench.time(what, measures, "ours 4S", num_rounds)
    for name in measures:
        bench.say(f"  {name}: {timings.time(name).median * 1e3:.1f} ms")
    bench.details[what] |= {"positions": lengths, "captions": captions}
    bench.row(
        4,
        f"hybrid attention t(4S) / t(S), S = {lengths['S']}",
        timings.ratio("ours 4S", "ours S"),
        bench.aim(4.4, 4.2),
        timings,
        peer=timings.ratio("dense 4S", "dense S"),
        limit=4.0,
    )


def compare_plan(
    bench: Bench, size: Size = SIZE, repeats: int = 1, dtype: torch.dtype = torch.float32
) -> None:
    """Building the plan of a batch, and a training step over it."""
    case = FusionCase.of(size, LENGTHS[40] * repeats)

    def plan() -> float:
        synchronise(bench.device)
        start = perf_counter()
        for _ in range(NUM_PLANS):
            Plan.of(case.runs, bench.device)
        synchronise(bench.device)
        return (perf_counter() - start) / NUM_PLANS

    measures: dict[str, Measure] = {
        "plan": plan,
        "step": our_step(size, case, bench.device, dtype=dtype),
    }
    timings = bench.time("plan", measures, "step")
    for name in measures:
        bench.say(f"  {name}: {timings.time(name).median * 1e3:.2f} ms")
    bench.row(
        4,
        "building the plan / a training step, 40 text tokens",
        timings.ratio("plan", "step"),
        0.01,
        timings,
    )


def measure(bench: Bench) -> None:
    """Hybrid attention t(4S) / t(S) at one length of documents, and the time of its plan."""
    compare_growth(bench, CAPTIONS[:2] if bench.quick else CAPTIONS)
    compare_plan(bench)


if __name__ == "__main__":
    run("attention", measure)
