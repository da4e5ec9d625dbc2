"""What a step of LMFusion computes and keeps, over the least that the paper's formulas allow.

Counts, not times: on the meta device, at the proportions of Llama-3-8B in float32 with the linear
patchifier (the U-Net would add as much to both sides). A batch is eight documents of 256 patches
and texts of unlike lengths around 40 or 512 tokens. What the least is, `fusion_minimum` derives;
who the peers are, `naive_fusion` says. Before anything is counted, all of them must give the same
loss at a small size, and the meta device must count there what real tensors count.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from benchmarks.baselines.fusion_cases import (
    LLAMA_3_8B,
    SMALL,
    FusionCase,
    Size,
    loss,
    spread,
    whole_loss,
)
from benchmarks.baselines.fusion_minimum import least_bytes, least_flops
from benchmarks.baselines.naive_fusion import FusionRows, left_to_autograd, naive_loss
from benchmarks.bench.counting import executed_flops, saved_bytes
from benchmarks.bench.harness import Bench, run
from modules.lmfusion.system import LMFusion

GOAL_FLOPS = 1.02
GOAL_BYTES = 1.10
ORDERS = {"caption first": True, "image first": False}
MEANS = (40, 512)
"""Text tokens of a document, on average."""


@dataclass(frozen=True)
class Entrants:
    """One network in all the ways that are compared; they have the same shapes.

    Attributes:
        ours: As it is.
        autograd: Left to autograd.
        trained: All weights trained, as where only a learning rate of 0 freezes them.
    """

    ours: LMFusion
    autograd: LMFusion
    trained: LMFusion

    @staticmethod
    def of(size: Size, device: str) -> "Entrants":
        """Build them."""
        ours, autograd, trained = (size.build(device=device) for _ in range(3))
        trained.fusion.requires_grad_(True)
        return Entrants(ours, left_to_autograd(autograd), trained)

    def losses(self, case: FusionCase, rows: FusionRows) -> dict[str, Callable[[], Tensor]]:
        """The loss in every way."""
        return {
            "ours": partial(loss, self.ours, case),
            "frozen autograd": partial(loss, self.autograd, case),
            "both experts": partial(naive_loss, self.ours, case, rows, "both"),
            "both experts, all trained": partial(naive_loss, self.trained, case, rows, "both"),
        }


def check_losses(size: Size, case: FusionCase) -> None:
    """Refuse to compare ways that do not compute the same.

    Raises:
        RuntimeError: Two losses differ; names both.
    """
    entrants, rows = Entrants.of(size, "cpu"), FusionRows.of(case)
    wanted = whole_loss(entrants.ours, case)
    peers = entrants.losses(case, rows)
    peers["boolean"] = partial(naive_loss, entrants.ours, case, rows, "boolean")
    del peers["ours"]  # which leaves out the text that can train nothing
    for name, peer in peers.items():
        found = peer()
        if not torch.allclose(found, wanted, rtol=1e-5):
            raise RuntimeError(f"{name} has a loss of {found.item()}, ours is {wanted.item()}")


def check_meta(size: Size, case: FusionCase) -> None:
    """Refuse to count on the meta device what real tensors count otherwise.

    Raises:
        RuntimeError: They differ; quotes both.
    """
    counts = []
    for device in ("cpu", "meta"):
        system = size.build(device=device)
        work = partial(loss, system, case.to(device))
        counts.append((executed_flops(work), saved_bytes(work, system.parameters())))
    if counts[0] != counts[1]:
        raise RuntimeError(f"real tensors count {counts[0]}, the meta device {counts[1]}")


def count(bench: Bench, size: Size, entrants: Entrants, order: str, mean: int) -> None:
    """One batch: FLOPs of every way and bytes of two, each over the least."""
    case = FusionCase.of(size, spread(mean), ORDERS[order])
    losses = entrants.losses(case.to("meta"), FusionRows.of(case).to("meta"))
    least = least_flops(size, case.runs)
    flops = {name: executed_flops(work) / least for name, work in losses.items()}
    kept = {
        name: saved_bytes(losses[name], system.parameters()) / least_bytes(size, case.runs)
        for name, system in {"ours": entrants.ours, "frozen autograd": entrants.autograd}.items()
    }
    what = f"{order}, {mean} text tokens"
    bench.details[what] = {
        "least_flops": least,
        "least_bytes": least_bytes(size, case.runs),
        "dense_least_flops": least_flops(size, case.runs, frozen=False),
        "flops": flops,
        "bytes": kept,
    }
    bench.say(f"{what}: " + ", ".join(f"{name} {value:.3f}" for name, value in flops.items()))
    also = f"both experts on all tokens {flops['both experts']:.2f}"
    bench.row(
        2,
        f"executed / minimum FLOPs, {what} ({also})",
        flops["ours"],
        GOAL_FLOPS,
        peer=flops["frozen autograd"],
        limit=1.0,
    )
    bench.row(
        7,
        f"bytes saved for backward / minimum, {what}",
        kept["ours"],
        GOAL_BYTES,
        peer=kept["frozen autograd"],
        limit=1.0,
    )


def measure(bench: Bench) -> None:
    """Executed FLOPs and bytes saved for backward over their analytic minimum."""
    for is_first in ORDERS.values():
        case = FusionCase.of(SMALL, [5, 9, 7], is_first)
        check_losses(SMALL, case)
        check_meta(SMALL, case)
    bench.say("all ways give the same loss; the meta device counts what real tensors count")
    bench.details["size"] = vars(LLAMA_3_8B)
    entrants = Entrants.of(LLAMA_3_8B, "meta")
    for order in ORDERS:
        for mean in MEANS[:1] if bench.quick else MEANS:
            count(bench, LLAMA_3_8B, entrants, order, mean)


if __name__ == "__main__":
    run("lmfusion_flops", measure)
