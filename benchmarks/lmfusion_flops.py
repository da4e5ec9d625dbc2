"""FLOPs and saved bytes of a step of LMFusion over the minimum that the paper's formulas allow.

These are counts, not times: they are taken on the meta device, at the sizes of Llama-3-8B in
float32 with the linear patchifier (the U-Net would add the same to both sides). A batch has eight
documents of 256 patches, with texts of different lengths whose mean is 40 or 512 tokens.
`fusion_minimum` derives the minimum; `naive_fusion` describes the peers. Before anything is
counted, all implementations must give the same loss at a small size, and the meta device must give
the same counts as real tensors there.
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
"""Mean number of text tokens of a document."""


@dataclass(frozen=True)
class Variants:
    """The same network for each implementation that is compared.

    Attributes:
        ours: Unchanged.
        autograd: Autograd finds out what is frozen.
        trained: All weights get gradients, as where only a learning rate of 0 freezes them.
    """

    ours: LMFusion
    autograd: LMFusion
    trained: LMFusion

    @staticmethod
    def of(size: Size, device: str) -> "Variants":
        """Build one network a variant; all have the same weights."""
        ours, autograd, trained = (size.build(device=device) for _ in range(3))
        trained.fusion.requires_grad_(True)
        return Variants(ours, left_to_autograd(autograd), trained)

    def losses(self, case: FusionCase, rows: FusionRows) -> dict[str, Callable[[], Tensor]]:
        """The loss, computed by each implementation."""
        return {
            "ours": partial(loss, self.ours, case),
            "frozen autograd": partial(loss, self.autograd, case),
            "both experts": partial(naive_loss, self.ours, case, rows, "both"),
            "both experts, all trained": partial(naive_loss, self.trained, case, rows, "both"),
        }


def check_losses(size: Size, case: FusionCase) -> None:
    """Refuse to compare implementations that do not compute the same loss.

    Raises:
        RuntimeError: Two losses differ; the message gives both.
    """
    variants, rows = Variants.of(size, "cpu"), FusionRows.of(case)
    expected = whole_loss(variants.ours, case)
    peers = variants.losses(case, rows)
    peers["boolean"] = partial(naive_loss, variants.ours, case, rows, "boolean")
    del peers["ours"]  # it leaves out text without trainable parameters
    for name, peer in peers.items():
        actual = peer()
        if not torch.allclose(actual, expected, rtol=1e-5):
            raise RuntimeError(f"{name} has a loss of {actual.item()}, ours is {expected.item()}")


def check_meta(size: Size, case: FusionCase) -> None:
    """Refuse to count on the meta device where its counts are not those of real tensors.

    Raises:
        RuntimeError: The counts differ; the message gives both.
    """
    counts = []
    for device in ("cpu", "meta"):
        system = size.build(device=device)
        step = partial(loss, system, case.to(device))
        counts.append((executed_flops(step), saved_bytes(step, system.parameters())))
    if counts[0] != counts[1]:
        raise RuntimeError(f"real tensors count {counts[0]}, the meta device {counts[1]}")


def count(
    bench: Bench, size: Size, variants: Variants, order: str, mean: int, device: str = "meta"
) -> None:
    """One batch: FLOPs of every implementation and bytes of two, each over the minimum."""
    case = FusionCase.of(size, spread(mean), ORDERS[order])
    losses = variants.losses(case.to(device), FusionRows.of(case).to(torch.device(device)))
    least = least_flops(size, case.runs)
    flops = {name: executed_flops(step) / least for name, step in losses.items()}
    saved = {
        name: saved_bytes(losses[name], system.parameters()) / least_bytes(size, case.runs)
        for name, system in {"ours": variants.ours, "frozen autograd": variants.autograd}.items()
    }
    what = f"{order}, {mean} text tokens"
    bench.details[what] = {
        "least_flops": least,
        "least_bytes": least_bytes(size, case.runs),
        "dense_least_flops": least_flops(size, case.runs, frozen=False),
        "flops": flops,
        "bytes": saved,
    }
    bench.say(f"{what}: " + ", ".join(f"{name} {value:.3f}" for name, value in flops.items()))
    both = f"both experts on all tokens {flops['both experts']:.2f}"
    bench.row(
        2,
        f"executed / minimum FLOPs, {what} ({both})",
        flops["ours"],
        GOAL_FLOPS,
        peer=flops["frozen autograd"],
        limit=1.0,
    )
    bench.row(
        7,
        f"bytes saved for backward / minimum, {what}",
        saved["ours"],
        GOAL_BYTES,
        peer=saved["frozen autograd"],
        limit=1.0,
    )


def measure(bench: Bench) -> None:
    """Executed FLOPs and bytes saved for backward over their analytic minimum."""
    for is_first in ORDERS.values():
        case = FusionCase.of(SMALL, [5, 9, 7], is_first)
        check_losses(SMALL, case)
        check_meta(SMALL, case)
    bench.say("all implementations give the same loss; the meta device counts as real tensors do")
    bench.details["size"] = vars(LLAMA_3_8B)
    variants = Variants.of(LLAMA_3_8B, "meta")
    for order in ORDERS:
        for mean in MEANS[:1] if bench.quick else MEANS:
            count(bench, LLAMA_3_8B, variants, order, mean)


if __name__ == "__main__":
    run("lmfusion_flops", measure)
