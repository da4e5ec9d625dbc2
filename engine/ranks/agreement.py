"""Small agreements between ranks, made on the CPU: no device waits for them."""

from time import monotonic, sleep
from typing import Any

import torch
import torch.distributed as dist

SECONDS = 15.0
"""How long ranks wait for one another before they give up what needs all of them."""


class Ranks:
    """The ranks of a run, as far as they have to agree; one process always agrees with itself.

    Attributes:
        alone: Whether this rank continues without the others, which may have ended.
    """

    def __init__(self) -> None:
        self.alone = False
        self._group: Any = None

    def connect(self) -> None:
        """Open a channel of their own; every rank must call, once the others can be reached."""
        if self._group is None and is_distributed():
            self._group = dist.new_group(backend="gloo")

    def greatest(self, value: int) -> int:
        """The greatest of the ranks' values; every rank must call."""
        if self.alone or self._group is None:
            return value
        number = torch.tensor([value])
        dist.all_reduce(number, dist.ReduceOp.MAX, group=self._group)
        return int(number)

    def least(self, value: int) -> int:
        """The least of the ranks' values; every rank must call."""
        return -self.greatest(-value)

    def all_come(self, place: str, seconds: float = SECONDS) -> bool:
        """Whether every rank reaches a point in time; all that reach it get the same answer.

        Nothing is sent from rank to rank, so it holds where some of them have ended or wait for
        something else.

        Args:
            place: Name of the point; ranks that are elsewhere reach another one.
            seconds: How long the first one waits.
        """
        if not is_distributed():
            return True
        try:
            return roll_call(place, seconds)
        except (RuntimeError, ValueError):  # the rank that holds the store has ended
            return False


def is_distributed() -> bool:
    """Whether this process is one of several ranks."""
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


def roll_call(place: str, seconds: float) -> bool:
    """Count the ranks that arrive; the last one, or the first to time out, decides for all."""
    from torch.distributed.distributed_c10d import PrefixStore, _get_default_store

    store = PrefixStore(f"roll_call/{place}", _get_default_store())
    store.add("here", 1)
    end = monotonic() + seconds
    while not store.check(["verdict"]):
        if store.add("here", 0) >= dist.get_world_size():
            store.compare_set("verdict", "", "all")
        elif monotonic() > end:
            store.compare_set("verdict", "", "not all")
        else:
            sleep(0.05)
    return bool(store.get("verdict") == b"all")
