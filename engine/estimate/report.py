"""What an estimate says, as lines of text."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from engine.estimate.gpus import GIB, Gpu
from engine.estimate.rank_memory import RankLayout, RankMemory
from engine.estimate.timing import Pace
from engine.measure.paper_step import ParameterSize

COLUMNS = ("weights", "gradients", "optimizer", "average", "activations", "temporary", "gathered")
"""Parts of memory, in the order of the table."""


@dataclass(frozen=True)
class LayoutRow:
    """One strategy on so many GPUs.

    Attributes:
        layout: Which.
        memory: Of each GPU; None where the pair is refused.
        sent: Bytes that a GPU sends in a step.
        refused: Why the pair cannot be.
    """

    layout: RankLayout
    memory: RankMemory | None = None
    sent: int = 0
    refused: str = ""

    def fits(self, room: float) -> bool:
        """Whether it takes no more bytes than there is room for."""
        return self.memory is not None and self.memory.total <= room


def of_parameters(size: ParameterSize) -> str:
    """How many parameters there are."""
    return (
        f"parameters: {size.total:,}: {size.trainable:,} trained "
        f"({size.trainable_bytes / 1e9:.2f} GB), {size.frozen:,} frozen "
        f"({size.frozen_bytes / 1e9:.2f} GB)"
    )


def of_step(pace: Pace, unit: str) -> Iterator[str]:
    """Operations of a step, and the time of the budget."""
    step, num = pace.step, max(1, pace.num_units)
    yield (
        f"a step on each GPU: {pace.micro_batches} micro-batches of {pace.num_units:,} {unit}: "
        f"{pace.micro_batches * step.flops:.3e} FLOPs, {step.flops / num:.3e} a {unit[:-1]}, of "
        f"which {step.recomputed / step.flops:.0%} compute activations again"
    )
    line = f"time at a model FLOP share of {pace.share:.0%}: {pace.seconds:.3g} s a step, "
    line += f"{pace.units_per_second:,.0f} {unit}/s a GPU"
    if pace.days is not None:
        units = pace.max_steps * pace.micro_batches * pace.num_units
        line += f"; {pace.max_steps:,} steps ({units:.3g} {unit} a GPU) in {duration(pace.days)}"
    yield line


def duration(days: float) -> str:
    """Days in the unit that gives a number above one; seconds, where none does."""
    units = {"days": 1, "hours": 24, "minutes": 24 * 60, "seconds": 24 * 3600}
    name = next((name for name, num in units.items() if days * num >= 1), "seconds")
    return f"{days * units[name]:.3g} {name}"


def table(rows: Sequence[LayoutRow], room: float) -> Iterator[str]:
    """Memory of each strategy by part, in GiB."""
    head = ["strategy", "GPUs", *COLUMNS, "total", "host", "sent GB", "fits"]
    yield "GiB on a GPU when most are in use (* while the optimizer steps):"
    yield joined(head)
    for row in rows:
        yield (
            joined(cells(row, room))
            if row.memory is not None
            else (f"{row.layout.strategy:<14}{row.layout.devices:>5}  refused: {row.refused}")
        )


def cells(row: LayoutRow, room: float) -> list[str]:
    """One row of the table."""
    memory = row.memory
    assert memory is not None
    parts = [f"{getattr(memory, name) / GIB:.2f}" for name in COLUMNS]
    total = f"{memory.total / GIB:.2f}{'*' * memory.is_update}"
    host = f"{memory.host / GIB:.1f}" if memory.host else "-"
    known = [row.layout.strategy, str(row.layout.devices), *parts, total, host]
    return [*known, f"{row.sent / 1e9:.2f}", "yes" if row.fits(room) else "no"]


def joined(values: Sequence[str]) -> str:
    """Cells side by side."""
    widths = [14, 5, *(max(9, len(name) + 1) for name in COLUMNS), 9, 8, 9, 6]
    first, *others = zip(values, widths, strict=True)
    return f"{first[0]:<{first[1]}}" + "".join(f"{text:>{width}}" for text, width in others)


def of_gpu(name: str, gpu: Gpu, reserve: float) -> str:
    """What a GPU has, and what is left of it."""
    return (
        f"{name}: {gpu.rate / 1e12:,.0f} TFLOP/s dense bfloat16, {gpu.memory / 1e9:.0f} GB "
        f"({gpu.memory / GIB:.1f} GiB), of which {1 - reserve:.0%} count ({gpu.source})"
    )
