"""An order that batches texts of similar length to reduce padding."""

from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from datamodules.stream.order import Order

KEPT = 2
"""Number of pools whose order is cached."""
NUM_BUCKETS = 16
"""Buckets per pool that are shuffled; each has a narrow range of lengths."""


class Bucketed:
    """Another order, rearranged within pools: sorted by length, then split into shuffled buckets.

    An epoch of the other order is split into pools of about the same number of samples. No pool
    spans two epochs, so every epoch has the same items as in the other order.
    The item at a position depends on the position only: neither the batch size nor the
    number of devices moves a sample. A bucket is many batches long, since batches need not start
    at a bucket.

    Args:
        order: The other order; its ids are those of the items, or encode by `Draws` the position in
            the stream as well.
        lengths: Length of each item.
        pool_size: Approximate number of samples per pool; 1 keeps the other order.
        seed: Seed of the order of the buckets.

    Raises:
        ValueError: The number of lengths is not that of the items, or the pool is empty.
    """

    def __init__(
        self,
        order: Order,
        lengths: Sequence[int] | NDArray[np.int64],
        pool_size: int = 2048,
        seed: int = 0,
    ):
        self.order = order
        self.num_items = order.num_items
        self.lengths = np.asarray(lengths)
        self.seed = seed
        if pool_size < 1:
            raise ValueError(f"pool_size must be at least 1, got {pool_size}.")
        if len(self.lengths) != self.num_items:
            raise ValueError(f"{len(self.lengths)} lengths, but {self.num_items} items")
        num_pools = max(1, round(self.num_items / pool_size))
        self.bounds = [number * self.num_items // num_pools for number in range(num_pools + 1)]
        self._pools: OrderedDict[tuple[int, int], NDArray[np.int64]] = OrderedDict()

    def items(self, start: int, stop: int) -> NDArray[np.int64]:
        """The ids at positions `start` to `stop` of the stream, int64 [stop - start]."""
        parts = [np.zeros(0, np.int64)]
        while start < stop:
            epoch, place = divmod(start, self.num_items)
            number = bisect_right(self.bounds, place) - 1
            at = place - self.bounds[number]
            parts.append(self._pool(epoch, number)[at : at + stop - start])
            start += len(parts[-1])
        return np.concatenate(parts)

    def _pool(self, epoch: int, number: int) -> NDArray[np.int64]:
        """The ids of one pool of an epoch in order."""
        if (epoch, number) not in self._pools:
            first, last = (epoch * self.num_items + at for at in self.bounds[number : number + 2])
            ids = self.order.items(first, last)
            by_length = ids[np.argsort(self.lengths[ids % self.num_items], kind="stable")]
            buckets = np.array_split(by_length, min(NUM_BUCKETS, len(ids)))
            rng = np.random.default_rng([self.seed, epoch, number])
            shuffled = [buckets[place] for place in rng.permutation(len(buckets))]
            self._pools[epoch, number] = np.concatenate(shuffled)
            while len(self._pools) > KEPT:
                self._pools.popitem(last=False)
        return self._pools[epoch, number]
