"""Running sums of a run's quantities, kept on the device until they are read."""

from collections.abc import Callable

import torch
from torch import Tensor

Reduce = Callable[[Tensor], Tensor]
"""Sums a tensor over all ranks."""


class Meter:
    """Means of named quantities over everything since the last reading.

    A mean is sum of totals over sum of counts, over micro-batches, steps and ranks alike, so that a
    short batch weighs as little as it should. Adding costs one small kernel and no host sync.

    Args:
        unit: What a target is called where its rate is reported, in the plural.

    Attributes:
        num_read: Targets since the start.
    """

    def __init__(self, unit: str = "targets") -> None:
        self.unit = unit
        self.totals: dict[str, Tensor] = {}
        self.counts: dict[str, float] = {}
        self.latest: dict[str, Tensor] = {}
        self.num_read = self._num_targets = 0
        self.begin_step()

    @property
    def num_targets(self) -> int:
        """Targets since whoever reports their rate set them back to 0; `num_read` goes on."""
        return self._num_targets

    @num_targets.setter
    def num_targets(self, num: int) -> None:
        self.num_read += max(0, num - self._num_targets)
        self._num_targets = num

    def begin_step(self) -> None:
        """Save the sums at the start of an optimizer step."""
        # sums are never changed in place, so these copies stay as they are
        self._at_step = dict(self.totals), dict(self.counts), dict(self.latest)

    def discard_step(self) -> None:
        """Forget what was added since `begin_step`: the step is not taken."""
        totals, counts, latest = self._at_step
        self.totals, self.counts, self.latest = dict(totals), dict(counts), dict(latest)

    def add(self, name: str, total: Tensor, count: float) -> None:
        """Add a sum over `count` elements.

        Args:
            name: What is summed; a reading returns it under the same name.
            total: The sum, a scalar on any device; its graph is not kept.
            count: Number of summands; 0 is allowed.
        """
        total = total.detach().float()
        self.totals[name] = self.totals[name] + total if name in self.totals else total
        self.counts[name] = self.counts.get(name, 0.0) + count

    def set_latest(self, name: str, value: Tensor) -> None:
        """Store the latest value of a quantity that is not averaged, such as a gradient norm."""
        self.latest[name] = value.detach()

    def means(self, reduce: Reduce | None = None) -> dict[str, float]:
        """Read the means and latest values, and start again; the only host sync.

        Args:
            reduce: Sums over ranks; every rank must call, with the same names.

        Returns:
            Mean per name, NaN-free: a name whose count is zero everywhere is left out.
        """
        if not self.totals and not self.latest:
            return {}
        totals = self._read(self.totals, self.counts, reduce)
        latest = {name: value.float().item() for name, value in self.latest.items()}
        self.totals, self.counts, self.latest = {}, {}, {}
        self.begin_step()
        return totals | latest

    @staticmethod
    def _read(
        totals: dict[str, Tensor], counts: dict[str, float], reduce: Reduce | None
    ) -> dict[str, float]:
        if not totals:
            return {}
        total_N = torch.stack(list(totals.values()))
        count_N = total_N.new_tensor([counts[name] for name in totals])
        both = torch.cat([total_N, count_N])
        total_N, count_N = (both if reduce is None else reduce(both)).double().cpu().chunk(2)
        pairs = zip(totals, total_N.tolist(), count_N.tolist(), strict=True)
        return {name: total / count for name, total, count in pairs if count > 0}
