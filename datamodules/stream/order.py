"""The endless order of training items, a function of the position only."""

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class Order(Protocol):
    """An endless stream of item ids with random access."""

    num_items: int

    def items(self, start: int, stop: int) -> NDArray[np.int64]:
        """The ids at positions `start` to `stop` of the stream."""
        ...


Pass = Callable[[np.random.Generator], NDArray[np.int64]]
"""Draws the order of one pass through a source: a permutation of its indices."""


class Mixture:
    """Items of several sources in fixed shares, shuffled anew in every epoch.

    An epoch has as many positions as there are items. Source i gets a fixed number c_i of them,
    its rounded share, at least one. Draw c of source i over the whole run is

        item  perm(seed, i, c // R_i)[c % R_i]   of its R_i items,

    so every item of a source is drawn once before any is repeated, whatever its share.

    Args:
        sizes: Number of items of each source; the ids of a source follow those of the previous one.
        weights: Weight of each source, above 0.
        seed: Seed of all permutations.
        passes: Draws the permutation of each source; any permutation is as likely without it.
    """

    def __init__(
        self,
        sizes: Sequence[int],
        weights: Sequence[float],
        seed: int = 0,
        passes: Sequence[Pass] | None = None,
    ):
        self.sizes = list(sizes)
        self.seed = seed
        self._passes = passes
        self.num_items = sum(sizes)
        self.draws = apportion(self.num_items, weights)
        self._first_ids = np.cumsum([0, *sizes])
        self._epochs: dict[int, NDArray[np.int64]] = {}
        self._permutations: dict[tuple[int, int], NDArray[np.int64]] = {}

    def items(self, start: int, stop: int) -> NDArray[np.int64]:
        """The ids at positions `start` to `stop` of the stream, int64 [stop - start]."""
        parts = [np.zeros(0, np.int64)]
        while start < stop:
            epoch, position = divmod(start, self.num_items)
            parts.append(self._epoch(epoch)[position : position + stop - start])
            start += len(parts[-1])
        return np.concatenate(parts)

    def _epoch(self, epoch: int) -> NDArray[np.int64]:
        """All ids of one epoch, in order."""
        if epoch not in self._epochs:
            parts = [self._drawn(source, epoch) for source in range(len(self.sizes))]
            order = parts[0] if len(parts) == 1 else self._shuffle(parts, epoch)
            kept = {e: ids for e, ids in self._epochs.items() if e == epoch - 1}
            self._epochs = {**kept, epoch: order}
        return self._epochs[epoch]

    def _shuffle(self, parts: list[NDArray[np.int64]], epoch: int) -> NDArray[np.int64]:
        """Interleave the draws of the sources at random; each keeps its own order."""
        source = np.repeat(np.arange(len(parts)), self.draws)
        source = np.random.default_rng([self.seed, epoch]).permutation(source)
        order = np.empty(self.num_items, np.int64)
        order[np.argsort(source, kind="stable")] = np.concatenate(parts)
        return order

    def _drawn(self, source: int, epoch: int) -> NDArray[np.int64]:
        """Draws of one source in one epoch."""
        count, size = self.draws[source], self.sizes[source]
        start, stop = epoch * count, (epoch + 1) * count
        parts = []
        while start < stop:
            turn, position = divmod(start, size)
            parts.append(self._permutation(source, turn)[position : position + stop - start])
            start += len(parts[-1])
        return self._first_ids[source] + np.concatenate(parts)

    def _permutation(self, source: int, turn: int) -> NDArray[np.int64]:
        """The permutation of one pass through a source; the last one of each is cached."""
        if (source, turn) not in self._permutations:
            rng = np.random.default_rng([self.seed, source, turn])
            kept = {key: ids for key, ids in self._permutations.items() if key[0] != source}
            draw = self._passes[source] if self._passes else None
            drawn = draw(rng) if draw else rng.permutation(self.sizes[source])
            self._permutations = {**kept, (source, turn): drawn}
        return self._permutations[source, turn]


class Repeated:
    """The prefix of another order, repeated: for overfitting on a few batches.

    Args:
        order: The other order; the length of an epoch stays the same.
        period: Samples after which it repeats.
    """

    def __init__(self, order: Order, period: int):
        self.order = order
        self.period = period
        self.num_items = order.num_items

    def items(self, start: int, stop: int) -> NDArray[np.int64]:
        """The ids at positions `start` to `stop` of the stream, int64 [stop - start]."""
        return self.order.items(0, self.period)[np.arange(start, stop) % self.period]


def apportion(total: int, weights: Sequence[float]) -> list[int]:
    """Divide `total` in proportion to the weights by largest remainders, each at least 1.

    Raises:
        ValueError: There are more weights than items to divide, or a weight is not above 0 and
            finite.
    """
    if not all(0 < weight < np.inf for weight in weights):
        raise ValueError(f"weights must be above 0 and finite, got {list(weights)}.")
    if total < len(weights):
        raise ValueError(f"{total} items cannot be shared among {len(weights)} sources.")
    share = np.asarray(weights, float) / max(
        weights
    )  # the sum of very large weights would be infinite
    quota = total * share / share.sum()
    counts = np.maximum(1, np.floor(quota)).astype(np.int64)
    for _ in range(total - int(counts.sum())):
        counts[np.argmax(quota - counts)] += 1
    while counts.sum() > total:
        counts[np.argmax(np.where(counts > 1, counts - quota, -np.inf))] -= 1
    return counts.tolist()


class Draws:
    """Another order whose ids also encode the position in the stream.

    The id of item i at position p is p * num_items + i, so that random choices for an item
    differ from pass to pass and are reproduced in a resumed run.

    Args:
        order: The other order.
    """

    def __init__(self, order: Order):
        self.order = order
        self.num_items = order.num_items

    def items(self, start: int, stop: int) -> NDArray[np.int64]:
        """The ids at positions `start` to `stop` of the stream, int64 [stop - start]."""
        return np.arange(start, stop) * self.num_items + self.order.items(start, stop)
