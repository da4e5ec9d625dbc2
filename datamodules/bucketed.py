"""An order that puts texts of similar length into one batch, so that little is padding."""

from collections import OrderedDict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from datamodules.order import Order

KEPT = 2
"""Pools whose order is remembered."""


class Bucketed:
    """Another order, rearranged within pools: sorted by length, then cut into shuffled batches.

    Pool c holds the positions c * P to (c + 1) * P of the other order, so that every item comes as
    often as there, at most P positions earlier or later. Nothing but a position is needed to go on.

    Args:
        order: The other order, whose ids are those of the items, or say by `Draws` at which place
            of the stream they stand.
        lengths: Length of each item.
        batch_size: Items of a global batch.
        num_batches: Batches of a pool.
        seed: Seed of the order of the batches.
    """

    def __init__(
        self,
        order: Order,
        lengths: Sequence[int] | NDArray[np.int64],
        batch_size: int,
        num_batches: int = 16,
        seed: int = 0,
    ):
        self.order = order
        self.num_items = order.num_items
        self.lengths = np.asarray(lengths)
        self.batch_size = batch_size
        self.pool_size = batch_size * num_batches
        self.seed = seed
        self._pools: OrderedDict[int, NDArray[np.int64]] = OrderedDict()

    def items(self, start: int, stop: int) -> NDArray[np.int64]:
        """The ids at positions `start` to `stop` of the stream, int64 [stop - start]."""
        parts = [np.zeros(0, np.int64)]
        while start < stop:
            pool, at = divmod(start, self.pool_size)
            parts.append(self._pool(pool)[at : at + stop - start])
            start += len(parts[-1])
        return np.concatenate(parts)

    def _pool(self, number: int) -> NDArray[np.int64]:
        """The ids of one pool in order."""
        if number not in self._pools:
            first = number * self.pool_size
            ids = self.order.items(first, first + self.pool_size)
            by_length = ids[np.argsort(self.lengths[ids % self.num_items], kind="stable")]
            batches = by_length.reshape(-1, self.batch_size)
            rng = np.random.default_rng([self.seed, number])
            self._pools[number] = batches[rng.permutation(len(batches))].reshape(-1)
            while len(self._pools) > KEPT:
                self._pools.popitem(last=False)
        return self._pools[number]
