"""How much of the machine's matmul rate a language model turns into model FLOP/s.

The rate is that of the model's own linear layers: each one's three products (forward, input
gradient, weight gradient), timed in the same rounds. Model FLOPs are those that the mathematics
needs: 6 per weight and token, and attention by the pairs that may attend; no recomputation.

Where a machine has no bfloat16 units, its bfloat16 rows are left out, as they would only time an
emulation.

Shape legend: T = tokens.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from time import perf_counter

import torch
from torch import Tensor, nn

from benchmarks.bench.harness import Bench, run
from benchmarks.bench.timing import Measure, MedianInterval, Timings
from engine.measure.machine import matmul_rate, synchronise
from modules.causal_lm.network import Attention, FromConfig, LanguageModel

VOCABULARY = 4096
LONG = [256] * 8
MIXED = [100, 156, 31, 225, 256, 12, 64, 180, 90, 90, 76, 201, 55, 7, 249, 128, 128]
"""Lengths of documents that fill eight rows of 256."""
GOALS = {"fp32": 0.85, "bf16": 0.75}


@dataclass(frozen=True)
class Size:
    """Size of a Llama.

    Attributes:
        hidden: Width.
        intermediate: Width inside the MLP.
        num_layers: Blocks.
        num_heads: Query heads; as many key-value heads.
    """

    hidden: int = 512
    intermediate: int = 1408
    num_layers: int = 6
    num_heads: int = 8

    def build(self, attention: Attention) -> LanguageModel:
        """The network, with random weights that are always the same."""
        torch.manual_seed(0)
        return FromConfig(
            VOCABULARY,
            {
                "hidden_size": self.hidden,
                "intermediate_size": self.intermediate,
                "num_hidden_layers": self.num_layers,
                "num_attention_heads": self.num_heads,
                "num_key_value_heads": self.num_heads,
            },
            attention=attention,
        )

    @property
    def block(self) -> list[tuple[int, int]]:
        """Inputs and outputs of each linear layer of one block."""
        square, up = (self.hidden, self.hidden), (self.hidden, self.intermediate)
        return [square] * 4 + [up] * 2 + [up[::-1]]

    @property
    def head(self) -> list[tuple[int, int]]:
        """Inputs and outputs of the output layer."""
        return [(self.hidden, VOCABULARY)]

    @property
    def num_weights(self) -> int:
        """Weights of all linear layers; the embedding is a look-up."""
        return weights(self.block) * self.num_layers + weights(self.head)

    def attention_flops(self, length_N: list[int]) -> int:
        """Two products forward and four backward, over the pairs within documents."""
        pairs = sum(length * (length + 1) // 2 for length in length_N)
        return 12 * pairs * self.hidden * self.num_layers

    def flops(self, length_N: list[int]) -> int:
        """Model FLOPs of one forward and backward."""
        return 6 * self.num_weights * sum(length_N) + self.attention_flops(length_N)


def weights(layers: list[tuple[int, int]]) -> int:
    """Weights of some linear layers."""
    return sum(inputs * outputs for inputs, outputs in layers)


@dataclass(frozen=True)
class Precision:
    """How numbers are kept and multiplied.

    Attributes:
        name: As in the rows.
        weight: Dtype of the weights.
        product: Dtype of the products.
    """

    name: str
    weight: torch.dtype
    product: torch.dtype

    def around(self, device: torch.device) -> AbstractContextManager[object]:
        """What the forward pass runs under."""
        if self.weight == self.product:
            return nullcontext()
        return torch.autocast(device.type, self.product)


PRECISIONS = (
    Precision("fp32", torch.float32, torch.float32),
    Precision("bf16", torch.bfloat16, torch.bfloat16),
    Precision("bf16-mixed", torch.float32, torch.bfloat16),
)


def products(
    layers: list[tuple[int, int]], num_tokens: int, dtype: torch.dtype, device: torch.device
) -> Callable[[], None]:
    """The three products of each linear layer, into memory that is there already."""

    def three(inputs: int, outputs: int) -> list[tuple[Tensor, Tensor, Tensor]]:
        x_TI = torch.randn(num_tokens, inputs, device=device).to(dtype)
        dy_TO = torch.randn(num_tokens, outputs, device=device).to(dtype)
        w_OI = torch.randn(outputs, inputs, device=device).to(dtype)
        factors = [(x_TI, w_OI.t()), (dy_TO, w_OI), (dy_TO.t(), x_TI)]
        empty = [
            torch.empty(a.shape[0], b.shape[1], dtype=dtype, device=device) for a, b in factors
        ]
        return [(a, b, out) for (a, b), out in zip(factors, empty, strict=True)]

    every = [one for layer in layers for one in three(*layer)]

    def multiply() -> None:
        for a, b, out in every:
            torch.mm(a, b, out=out)

    return multiply


def gemm(size: Size, num_tokens: int, dtype: torch.dtype, device: torch.device) -> Measure:
    """Seconds of all products of the linear layers: two blocks and the head, scaled."""
    block = products(size.block * 2, num_tokens, dtype, device)
    head = products(size.head, num_tokens, dtype, device)

    def seconds() -> float:
        return timed(block, device) * size.num_layers / 2 + timed(head, device)

    return seconds


def timed(work: Callable[[], object], device: torch.device) -> float:
    """Seconds of one piece of work."""
    synchronise(device)
    start = perf_counter()
    work()
    synchronise(device)
    return perf_counter() - start


def step(
    network: LanguageModel, precision: Precision, length_N: list[int], device: torch.device
) -> Measure:
    """Seconds of one forward and backward."""
    torch.manual_seed(1)
    token_BL = torch.randint(VOCABULARY, (8, sum(length_N) // 8), device=device)
    position_BL = torch.cat([torch.arange(n) for n in length_N]).view_as(token_BL).to(device)

    def work() -> None:
        with precision.around(device):
            loss = network.loss(token_BL, token_BL, position_BL, length_N)
        loss.backward()

    def seconds() -> float:
        network.zero_grad()
        return timed(work, device)

    return seconds


def networks(size: Size, precision: Precision, device: torch.device) -> dict[str, nn.Module]:
    """Ours as it is and compiled, and the same weights with the attention of transformers."""
    found = {
        "eager": size.build("documents"),
        "compiled": size.build("documents"),
        "transformers": size.build("sdpa"),
    }
    found["compiled"].compile()
    return {name: network.to(device, precision.weight) for name, network in found.items()}


def compare(
    bench: Bench,
    size: Size,
    precision: Precision,
    num_rounds: int,
    longer: int = 1,
    compiles: bool = True,
) -> None:
    """One precision, on whole rows and on packed documents.

    Args:
        bench: Takes the rows.
        size: Of the networks.
        precision: Of weights and products.
        num_rounds: Of each timing.
        longer: How many times as long documents are.
        compiles: Whether to measure the compiled network too.
    """
    device = bench.device
    built = networks(size, precision, device)
    if bench.quick or not compiles:
        del built["compiled"]  # the compiler alone takes half a minute
    for rows, lengths in {"whole rows": LONG, "packed rows": MIXED}.items():
        length_N = [longer * length for length in lengths]
        measures: dict[str, Measure] = {
            "gemm": gemm(size, sum(length_N), precision.product, device)
        }
        for name, network in built.items():
            assert isinstance(network, LanguageModel)
            measures[name] = step(network, precision, length_N, device)
            measures[name]()  # compiles
        timings = bench.time(f"{precision.name}, {rows}", measures, "eager", num_rounds)
        judge(bench, size, precision, rows, length_N, timings)


def judge(
    bench: Bench, size: Size, precision: Precision, rows: str, length_N: list[int], timings: Timings
) -> None:
    """Turn times into shares of the rate; the better of ours is compared with the goal."""
    extra = size.flops(length_N) / (6 * size.num_weights * sum(length_N))
    names = [name for name in timings.seconds if name in ("eager", "compiled", "transformers")]
    share = {name: scaled(timings.ratio("gemm", name), extra) for name in names}
    seconds = timings.time("gemm").median
    rate = 6 * size.num_weights * sum(length_N) / seconds
    for name in names:
        bench.say(f"  {name}: {share[name]} of {rate / 1e9:.0f} GFLOP/s")
    best = max((name for name in names if name != "transformers"), key=lambda n: share[n].median)
    bench.details[f"{precision.name}, {rows}"] |= {
        "gemm_flop_per_second": rate,
        "shares": {name: share[name].median for name in names},
    }
    stated = ", ".join(f"{n} {share[n].median:.3f}" for n in names if n != "transformers")
    bench.row(
        5,
        f"model FLOP/s / GEMM rate, {precision.name}, {rows} ({stated})",
        share[best],
        bench.aim(GOALS.get(precision.name, GOALS["bf16"]), 0.65),
        timings,
        peer=share["transformers"],
        limit=1.0,
        at_least=True,
    )


def scaled(value: MedianInterval, factor: float) -> MedianInterval:
    """An estimate times a number."""
    return MedianInterval(value.median * factor, value.low * factor, value.high * factor)


def measure(bench: Bench) -> None:
    """Model FLOP/s of a Llama of 20 million parameters / the rate of its own matrix products."""
    size = Size(hidden=256, intermediate=704, num_layers=2, num_heads=4) if bench.quick else Size()
    rates = {kind: matmul_rate(bench.device, kind) for kind in (torch.float32, torch.bfloat16)}
    emulated = rates[torch.bfloat16] < rates[torch.float32]
    bench.details["bfloat16_emulated"] = emulated
    bench.details["weights"] = size.num_weights
    for precision in PRECISIONS:
        if emulated and precision.product == torch.bfloat16:
            bench.say(f"{precision.name} left out: this machine has no bfloat16 units")
            continue
        compare(bench, size, precision, num_rounds=15)


if __name__ == "__main__":
    run("model_flops", measure)
