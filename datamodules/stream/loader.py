"""The loaders of every system: resumable, independent of world size, aware of accumulation.

Global batch k of a run on W devices with B samples each holds the samples k*B*W to (k+1)*B*W of
an endless stream; rank r takes its r-th part. The only state is the number of consumed samples.
"""

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import count, islice
from typing import Protocol, TypeVar, cast

import numpy as np
import torch
from lightning.pytorch.utilities.rank_zero import rank_zero_warn
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset, Sampler

from datamodules.stream.order import Order, Repeated
from datamodules.stream.workers import leave_signals

Targets = int | dict[str, int]
"""Number of targets of a batch, in total or per kind of target."""
Batch = dict[str, object]
BatchT = TypeVar("BatchT")
Request = tuple[NDArray[np.int64], int]
"""Ids of the items of a batch, and how many of the first ones are real."""


class Items(Protocol):
    """Indexed items that collate themselves."""

    def batch(self, ids: NDArray[np.int64], num_real: int) -> Batch:
        """Build one batch.

        Args:
            ids: Which items, in order.
            num_real: Number of real items; later ones only fill the batch and have no targets.

        Returns:
            A dict; for training it has `num_targets`.
        """
        ...


class ResumableLoader:
    """Training batches from an endless stream, split into the trainer's epochs.

    The stream continues across epochs, so samples that do not fill a batch at an epoch's end start
    the next one. Lightning saves `state_dict` in the middle of an epoch and, since `__len__` is
    defined, prefetches no batch; so a resumed run continues with exactly the next sample, even if
    the number of devices, the batch size or the number of workers has changed.

    Args:
        items: Where batches are built.
        order: Which item stands where in the stream.
        batch_size: Samples per device and batch.
        rank: Number of this device, from 0.
        world_size: Number of devices.
        num_workers: Processes that build batches; 0 builds them in this one.
        window: Batches per optimizer step, or a function that returns them; each batch has in
            `step_targets` the number of targets of the whole window on this device.
        limit: Batches (int) or share of them (float) after which the trainer ends an epoch.
    """

    def __init__(
        self,
        items: Items,
        order: Order,
        batch_size: int,
        rank: int = 0,
        world_size: int = 1,
        num_workers: int = 0,
        window: int | Callable[[], int] = 1,
        limit: int | float = 1.0,
    ):
        self.items = items
        self.order = order
        self.batch_size = batch_size
        self.rank = rank
        self.num_workers = num_workers
        self._window = window
        self.num_samples = 0
        self._stride = batch_size * world_size
        length = len(self)
        self._end = min(length, limit) if isinstance(limit, int) else int(length * limit)
        self._position = 0  # batches returned in this epoch
        self._restored = 0  # batch of its epoch at which the next iterator starts
        self._pretended: dict[str, int] | None = None
        self._ahead: deque[Batch] = deque()
        # Lightning stops the workers of the iterator in an attribute of this name
        self._iterator: Iterator[Batch] | None = None

    @property
    def window(self) -> int:
        """Batches per optimizer step."""
        return self._window() if callable(self._window) else self._window

    def __len__(self) -> int:
        """Batches of an epoch, at least one."""
        return max(1, self.order.num_items // self._stride)

    def __iter__(self) -> Iterator[Batch]:
        """The batches of the next epoch, or the rest of a restored one."""
        self._position = self._restored if self._restored < self._end else 0
        self._restored = 0
        return self._epoch()

    def state_dict(self) -> dict[str, int]:
        """Samples consumed on all devices, and batches since the epoch started."""
        if self._pretended is not None:
            return self._pretended
        return {
            "samples": self.num_samples,
            "batches": 0 if self._position >= self._end else self._position,
            "items": self.order.num_items,
        }

    def pretend(self, state_dict: dict[str, int] | None) -> None:
        """Report an earlier state from now on; None ends this."""
        self._pretended = state_dict

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        """Continue where another loader of the same stream stopped."""
        if state_dict["items"] != self.order.num_items:
            rank_zero_warn(
                f"The training data changed: {state_dict['items']} items when the checkpoint was "
                f"written, {self.order.num_items} now. Some will be repeated or left out."
            )
        self.num_samples = state_dict["samples"]
        self._position = self._restored = state_dict["batches"]
        self._iterator = None

    def repeat_epoch(self) -> None:
        """Repeat the same batches in every epoch, as the trainer's `overfit_batches` requires."""
        self.order = Repeated(self.order, self._end * self._stride)

    def _epoch(self) -> Iterator[Batch]:
        targets: Targets = 0
        fresh = True
        while self._position < len(self):
            place = self._position % self.window
            if fresh or place == 0:
                targets, fresh = self._window_targets(place), False
            self._fill(1)
            batch = self._ahead.popleft()
            self.num_samples += self._stride
            self._position += 1
            yield batch | {"step_targets": targets}

    def _window_targets(self, place: int) -> Targets:
        """Targets of the window in which the next batch has the index `place`."""
        end = self._end if self._position < self._end else len(self)
        num_ahead = min(self.window - place, end - self._position)
        self._fill(num_ahead)
        # a run restored inside a window builds the earlier batches of that window again
        starts = [max(0, self.num_samples - back * self._stride) for back in range(place, 0, -1)]
        past = [self.items.batch(*request) for request in self._requests(starts)]
        return total_targets([*past, *islice(self._ahead, num_ahead)])

    def _requests(self, starts: Iterable[int]) -> Iterator[Request]:
        """Requests of this rank for the global batches that start at these samples."""
        # has no reference to the loader, so that its workers end as soon as it is dropped
        order, size, offset = self.order, self.batch_size, self.rank * self.batch_size
        return ((order.items(s + offset, s + offset + size), size) for s in starts)

    def _fill(self, size: int) -> None:
        """Build batches until at least `size` are buffered."""
        if self._iterator is None:
            self._ahead.clear()
            requests = self._requests(count(self.num_samples, self._stride))
            self._iterator = iter(fetch(self.items, requests, self.num_workers))
        while len(self._ahead) < size:
            self._ahead.append(next(self._iterator))


class EvaluationLoader:
    """Every item once, in order; all ranks get the same number of batches of the same size.

    The last batches are filled with repeats of the last item, and `Items.batch` receives
    the number of its real items.

    Args:
        items: Where batches are built.
        num_items: Number of items.
        batch_size: Items per device and batch.
        rank: Number of this device, from 0.
        world_size: Number of devices.
        num_workers: Processes that build batches; 0 builds them in this one.
    """

    def __init__(
        self,
        items: Items,
        num_items: int,
        batch_size: int,
        rank: int = 0,
        world_size: int = 1,
        num_workers: int = 0,
    ):
        self._requests = _Requests(num_items, batch_size, rank, world_size)
        self._batches = fetch(items, self._requests, num_workers)

    @property
    def _iterator(self) -> object:
        """Where Lightning looks for workers to stop at the end of the run."""
        return self._batches._iterator

    @_iterator.setter
    def _iterator(self, value: None) -> None:
        self._batches._iterator = value

    def __len__(self) -> int:
        """Batches on every rank."""
        return len(self._requests)

    def __iter__(self) -> Iterator[Batch]:
        """All batches of this rank."""
        for batch in self._batches:
            own = {"step_targets": batch["num_targets"]} if "num_targets" in batch else {}
            yield batch | own


@dataclass(frozen=True)
class _Requests(Sampler[Request]):
    """Requests of one rank for an evaluation, batch by batch; arguments as above."""

    num_items: int
    batch_size: int
    rank: int
    world_size: int

    def __len__(self) -> int:
        return -(-self.num_items // (self.batch_size * self.world_size))

    def __iter__(self) -> Iterator[Request]:
        for index in range(len(self)):
            first = (index * self.world_size + self.rank) * self.batch_size
            ids = np.arange(first, first + self.batch_size)
            num_real = int((ids < self.num_items).sum())
            yield np.minimum(ids, self.num_items - 1), num_real


class _Batches(Dataset[Batch]):
    """The dataset of the workers: it turns a request into a batch."""

    def __init__(self, items: Items):
        self.items = items

    def __getitem__(self, request: Request) -> Batch:
        return self.items.batch(*request)


def fetch(items: Items, requests: Iterable[Request], num_workers: int) -> DataLoader[Batch]:
    """A loader that answers requests in order; it draws nothing from the global generator.

    Args:
        items: Where batches are built.
        requests: Batches to build; may be endless.
        num_workers: Processes that build batches; 0 builds them in this one.

    Returns:
        The loader; with CUDA its tensors are in pinned memory.
    """
    return DataLoader(
        _Batches(items),
        batch_size=None,
        sampler=requests,
        collate_fn=_as_it_is,
        num_workers=num_workers,
        worker_init_fn=leave_signals if num_workers else None,
        persistent_workers=num_workers > 0,
        pin_memory=torch.cuda.is_available(),
        generator=torch.Generator().manual_seed(0),
    )


def total_targets(batches: Iterable[Batch]) -> Targets:
    """Sum of `num_targets`, per kind if there are kinds."""
    kinds = [cast(Targets, batch["num_targets"]) for batch in batches]
    if all(isinstance(kind, int) for kind in kinds):
        return sum(cast(list[int], kinds))
    total: Counter[str] = Counter()
    for kind in kinds:
        total.update(cast(dict[str, int], kind))
    return dict(total)


def _as_it_is(batch: BatchT) -> BatchT:
    return batch
