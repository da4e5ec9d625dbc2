"""Times work on a device: what is queued there before and after is waited for."""

from collections.abc import Callable
from time import perf_counter

import torch

from benchmarks.bench.timing import Measure
from engine.measure.machine import synchronise


def timed(work: Callable[[], object], device: torch.device, count: int = 1) -> Measure:
    """Seconds of some work on a device.

    Args:
        work: Called once a measure.
        device: Where it computes.
        count: How many things it does, such as tokens or bytes; the seconds are of one.
    """

    def seconds() -> float:
        synchronise(device)
        start = perf_counter()
        work()
        synchronise(device)
        return (perf_counter() - start) / count

    return seconds
