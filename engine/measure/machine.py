"""What the machine can do: its matmul rate and its memory."""

import resource
import sys
from time import perf_counter

import torch

SECONDS = 0.15
"""How long a rate is measured."""


@torch.no_grad()
def matmul_rate(device: torch.device, dtype: torch.dtype, size: int | None = None) -> float:
    """Rate of one large square matrix product, in FLOP/s.

    Args:
        device: Where to multiply.
        dtype: Type of both factors.
        size: Rows of a factor; 4096 on an accelerator and 1024 on a CPU where None.

    Returns:
        The best rate of several repetitions, which noise can only lower.
    """
    size = size or (1024 if device.type == "cpu" else 4096)
    a = torch.randn(size, size, device=device, dtype=dtype)
    out = torch.empty_like(a)
    torch.mm(a, a, out=out)
    best, spent = 0.0, 0.0
    while spent < SECONDS:
        synchronise(device)
        start = perf_counter()
        for _ in range(3):
            torch.mm(a, a, out=out)
        synchronise(device)
        took = perf_counter() - start
        spent += took
        best = max(best, 3 * 2 * size**3 / took)
    return best


def synchronise(device: torch.device) -> None:
    """Wait until the device has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def peak_memory(device: torch.device) -> int:
    """Most bytes in use so far: of the device's allocator, or of this process on a CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
