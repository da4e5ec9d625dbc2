"""Work that all ranks do together on the CPU; a fault of one is an error on all."""

from collections.abc import Callable
from typing import Any, TypeVar

import torch.distributed as dist

T = TypeVar("T")


def on_first(work: Callable[[], T], group: Any) -> T:
    """What work on the first rank returns, on every rank; every rank must call.

    Raises:
        OSError: It failed.
    """
    told = [attempt(work) if dist.get_rank(group) == 0 else None]
    dist.broadcast_object_list(told, src=0, group=group)
    return checked([told[0]])[0]


def on_each(work: Callable[[], T], group: Any) -> list[T]:
    """What work on each rank returns, on every rank; every rank must call.

    Raises:
        OSError: It failed on one of them.
    """
    told: list[Any] = [None] * dist.get_world_size(group)
    dist.all_gather_object(told, attempt(work), group=group)
    return checked(told)


def attempt(work: Callable[[], T]) -> tuple[T | None, str]:
    """What work returns, and why it failed, if it did."""
    try:
        return work(), ""
    except Exception as error:  # whatever it is, the others must not wait for ever
        return None, cause_of(error)


def checked(told: list[Any]) -> list[Any]:
    """Results of ranks.

    Raises:
        OSError: One of them failed; says why.
    """
    fault = next((fault for _, fault in told if fault), "")
    if fault:
        raise OSError(fault)
    return [result for result, _ in told]


def cause_of(error: BaseException) -> str:
    """Why something failed, in a line; of an error that torch gathered, that of its first rank."""
    failures = getattr(error, "failures", None)
    if isinstance(failures, dict) and failures:
        return cause_of(next(iter(failures.values()))[0])
    if isinstance(error, OSError) and error.errno is not None:
        return f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror)
    return " ".join(str(error).split()) or type(error).__name__
