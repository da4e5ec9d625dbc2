"""Time of a training step of LMFusion over that of a dense model, trained on the same tokens.

The dense network is the same code without separation and without frozen weights. The limit is the
ratio of the FLOPs that both must compute (`fusion_minimum`) at the benchmark's own shapes, so it is
not that of Llama-3-8B, where it is 0.90 at 40 and 0.52 at 512 text tokens. A step is forward,
backward and AdamW, in float32. The peer is LMFusion with boolean indexing of each modality's tokens
in every layer, a dense attention mask and the loss on all text.

Where `transfusion-pytorch` is installed, its tokens/s are compared with those of our own dense
network with the same number of parameters.
"""

from collections.abc import Callable, Sequence
from functools import partial
from importlib.util import find_spec
from time import perf_counter

import torch
from torch import Tensor, nn

from benchmarks.baselines.fusion_cases import FusionCase, Size, loss
from benchmarks.baselines.fusion_minimum import least_flops
from benchmarks.baselines.naive_fusion import FusionRows, naive_loss
from benchmarks.bench.harness import Bench, run
from engine.measure.machine import synchronise

SIZE = Size(384, 1344, 3, 6, 2, 1024)
LENGTHS = {40: (30, 40, 50), 512: (384, 640)}
"""Text tokens of each document, by their mean."""
SLACK, GPU_SLACK = 1.10, 1.06
"""Aim for the step over the dense step, as a multiple of the limit."""
PEER = "transfusion-pytorch"


class TrainingStep:
    """A hand-written training step that times itself.

    Args:
        module: Its parameters that require gradients are trained.
        forward: Computes the loss of a fixed batch.
        device: Device of module and batch.
        dtype: Of products; another than float32 by autocast.
    """

    def __init__(
        self,
        module: nn.Module,
        forward: Callable[[], Tensor],
        device: torch.device,
        dtype: torch.dtype = torch.float32,
    ):
        trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
        self.num_trained = sum(parameter.numel() for parameter in trained)
        self.optimizer = torch.optim.AdamW(trained, lr=1e-5, fused=True)
        self.forward = forward
        self.device = device
        self.dtype = dtype

    def __call__(self) -> float:
        """Train one step; returns its seconds."""
        synchronise(self.device)
        start = perf_counter()
        self.optimizer.zero_grad()
        with torch.autocast(self.device.type, self.dtype, self.dtype != torch.float32):
            loss = self.forward()
        loss.backward()
        self.optimizer.step()
        synchronise(self.device)
        return perf_counter() - start


def our_step(
    size: Size,
    case: FusionCase,
    device: torch.device,
    dense: bool = False,
    dtype: torch.dtype = torch.float32,
) -> TrainingStep:
    """A step of LMFusion, or of the dense network."""
    system = size.build("none", False) if dense else size.build()
    system = system.to(device)
    return TrainingStep(system, partial(loss, system, case.to(device)), device, dtype)


def naive_step(
    size: Size, case: FusionCase, device: torch.device, dtype: torch.dtype = torch.float32
) -> TrainingStep:
    """A step of LMFusion with boolean indexing in every layer."""
    system, rows = size.build().to(device), FusionRows.of(case).to(device)
    forward = partial(naive_loss, system, case.to(device), rows, "boolean")
    return TrainingStep(system, forward, device, dtype)


def compare(
    bench: Bench,
    size: Size,
    mean: int,
    repeats: int = 1,
    dtype: torch.dtype = torch.float32,
    num_rounds: int = 15,
) -> None:
    """Our step, the dense step and the peer's at one mean length of texts.

    Args:
        bench: Takes the rows.
        size: Of the networks.
        mean: Key of `LENGTHS`.
        repeats: How many times as many documents as there.
        dtype: Of products.
        num_rounds: Of the timing.
    """
    lengths = LENGTHS[mean] * repeats
    case = FusionCase.of(size, lengths)
    measures = {
        "dense": our_step(size, case, bench.device, dense=True, dtype=dtype),
        "ours": our_step(size, case, bench.device, dtype=dtype),
        "boolean": naive_step(size, case, bench.device, dtype),
    }
    limit = least_flops(size, case.runs) / least_flops(size, case.runs, frozen=False)
    what = f"{mean} text tokens"
    timings = bench.time(what, measures, "ours", num_rounds)
    for name in measures:
        seconds = timings.time(name).median
        bench.say(f"  {name}: {seconds * 1e3:.0f} ms a step, {timings.ratio(name, 'dense')}")
    bench.details[what] |= {
        "size": vars(size),
        "num_tokens": lengths,
        "trained": {name: step.num_trained for name, step in measures.items()},
    }
    bench.row(
        3,
        f"LMFusion step / dense step, caption first, {what}",
        timings.ratio("ours", "dense"),
        bench.aim(SLACK, GPU_SLACK) * limit,
        timings,
        peer=timings.ratio("boolean", "dense"),
        limit=limit,
    )


PEER_SIZE = {"dim": 192, "depth": 6}
"""Gives transfusion-pytorch 10.3 million parameters."""
OUR_SIZE = Size(320, 1240, 6, 5, 5, 1024, side=16)
"""Our network with as many parameters and blocks."""
NUM_DOCUMENTS, NUM_TOKENS = 16, 24


def peer_step(size: Size, num_tokens: Sequence[int], device: torch.device) -> TrainingStep:
    """A step of transfusion-pytorch over documents of the same shape."""
    from transfusion_pytorch import Transfusion  # type: ignore[import-not-found, unused-ignore]

    torch.manual_seed(0)
    width = size.channels * size.patch**2
    network = Transfusion(
        num_text_tokens=size.vocab_size,
        dim_latent=width,
        modality_default_shape=(size.num_patches,),
        prob_uncond=0.0,
        transformer=PEER_SIZE,
    ).to(device)
    documents = [
        [
            torch.randint(size.vocab_size, (length,), device=device),
            torch.randn(size.num_patches, width, device=device),
        ]
        for length in num_tokens
    ]
    return TrainingStep(network, partial(network, documents), device)


def compare_with_peer(bench: Bench) -> None:
    """Tokens/s of our dense network over those of transfusion-pytorch, where it is installed."""
    if find_spec("transfusion_pytorch") is None:
        command = f"uv run --with {PEER} python -m benchmarks.{bench.name}"
        bench.say(f"{PEER} is not installed, so its row is left out; to measure it: {command}")
        return
    lengths = [NUM_TOKENS] * NUM_DOCUMENTS
    measures = {
        "ours": our_step(OUR_SIZE, FusionCase.of(OUR_SIZE, lengths), bench.device, dense=True),
        PEER: peer_step(OUR_SIZE, lengths, bench.device),
    }
    timings = bench.time(PEER, measures, "ours", num_quick=2)
    num_tokens = NUM_DOCUMENTS * (NUM_TOKENS + OUR_SIZE.num_patches)
    rates = {name: num_tokens / timings.time(name).median for name in measures}
    trained = {name: step.num_trained for name, step in measures.items()}
    for name, rate in rates.items():
        bench.say(f"  {name}: {rate:.0f} tokens/s, {trained[name] / 1e6:.2f} M parameters")
    bench.details[PEER] |= {"tokens_per_second": rates, "trained": trained}
    bench.row(
        3,
        f"tokens/s / those of {PEER}, dense, 10.3 M parameters",
        timings.ratio(PEER, "ours"),
        1.0,
        timings,
        peer=1.0,
        at_least=True,
    )


def measure(bench: Bench) -> None:
    """Time of a training step of LMFusion over that of a dense model on the same tokens."""
    for mean in LENGTHS:
        compare(bench, SIZE, mean)
    compare_with_peer(bench)


if __name__ == "__main__":
    run("lmfusion_step", measure)
