"""A supportive group beside random groups of as many documents of the same pool.

The paper's intervals are over seeds, that is over random groups (Han et al., 2023, sec. 4: 32 of
them). They say how well the mean of random groups is known, and shrink with their number: one more
random group in place of the supportive one lies outside of them three times of four. Whether the
supportive group is unlike a random one is answered by the spread of single random groups, which
stands beside.

Shape legend: N = documents of the pool, S = seeds, K = documents of a group.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modules.metrics.bootstrap import LEVEL, Interval, Resamples, interval, part_by_part

NUM_GROUPS = 32


@dataclass(frozen=True)
class Difference:
    """A quantity of the supportive group beside that of random groups.

    Attributes:
        supportive: Of the supportive group.
        random_S: Of each random group.
        left_out: Supportive documents for which it is not defined.
    """

    supportive: float
    random_S: tuple[float, ...]
    left_out: int = 0

    @property
    def by_seed(self) -> NDArray[np.float64]:
        """Supportive minus each random group, [S]."""
        return self.supportive - np.array(self.random_S)

    def over_seeds(self) -> Interval:
        """The mean difference and its interval over seeds, by bootstrap: as the paper reports."""
        resamples = Resamples(np.arange(len(self.random_S)))
        mean_R = part_by_part(resamples, lambda weight: weight @ self.by_seed / weight.sum(1))
        return interval(mean_R)

    def of_one_group(self, level: float = LEVEL) -> Interval:
        """The mean difference, and where a random group's lies: if 0 is inside, it may be one.

        The prediction interval of one more group, m -+ t sd sqrt(1 + 1 / S), with Student's t of
        S - 1 degrees of freedom: values of groups are taken as normal.
        """
        from scipy.special import stdtrit  # type: ignore[import-untyped]

        num = len(self.random_S)
        mean, spread = float(self.by_seed.mean()), float(self.by_seed.std(ddof=1))
        half = float(stdtrit(num - 1, (1 + level) / 2)) * spread * (1 + 1 / num) ** 0.5
        return Interval(mean, mean - half, mean + half)

    @property
    def differs(self) -> bool:
        """Whether the supportive group lies outside of where random groups do."""
        one = self.of_one_group()
        return one.low > 0 or one.high < 0

    def row(self, quantity: str) -> dict[str, Any]:
        """What a table says of it."""
        mean, one = self.over_seeds(), self.of_one_group()
        return {
            "quantity": quantity,
            "supportive": self.supportive,
            "random": float(np.mean(self.random_S)),
            "difference": mean.value,
            "seeds_low": mean.low,
            "seeds_high": mean.high,
            "one_group_low": one.low,
            "one_group_high": one.high,
            "num_groups": len(self.random_S),
            "left_out": self.left_out,
        }


@dataclass(frozen=True)
class Groups:
    """Which documents of a pool are compared.

    Attributes:
        supportive_K: Their places in the pool.
        random_SK: Places of each random group, drawn without replacement from the whole pool.
    """

    supportive_K: NDArray[np.int64]
    random_SK: NDArray[np.int64]

    @staticmethod
    def of(
        supportive: Sequence[int], num_documents: int, num: int = NUM_GROUPS, seed: int = 0
    ) -> "Groups":
        """Draw random groups of equal size.

        Args:
            supportive: Places of the supportive documents.
            num_documents: N.
            num: Random groups.
            seed: Of the draws; the first groups stay the same where more are drawn.

        Raises:
            ValueError: There are fewer than two groups, or supportive documents are none, twice
                there or not in the pool.
        """
        supportive_K = np.asarray(supportive, np.int64)
        if num < 2:
            raise ValueError(f"an interval over seeds needs at least 2 random groups, got {num}")
        if not len(supportive_K) or len(np.unique(supportive_K)) < len(supportive_K):
            raise ValueError(f"supportive documents are none or repeat, got {len(supportive_K)}")
        is_outside_K = (supportive_K < 0) | (supportive_K >= num_documents)
        if is_outside_K.any():
            first = supportive_K[is_outside_K][0]
            raise ValueError(f"document {first} is not in the pool of {num_documents} documents")
        rng = np.random.default_rng(seed)
        drawn = [rng.choice(num_documents, len(supportive_K), replace=False) for _ in range(num)]
        return Groups(supportive_K, np.stack(drawn))

    def difference(self, quantity: Callable[[NDArray[np.int64]], float]) -> Difference:
        """Compare a quantity of a group, given the places of its documents."""
        return Difference(quantity(self.supportive_K), tuple(map(quantity, self.random_SK)))

    def difference_of_means(
        self, value_N: NDArray[np.float64], weight_N: NDArray[Any] | None = None
    ) -> Difference:
        """Compare means over documents; those for which it is not a finite number are left out.

        Args:
            value_N: A quantity of each document.
            weight_N: Such as its tokens; all weigh the same where None.

        Raises:
            ValueError: It is defined for no document of a group.
        """
        is_defined_N = np.isfinite(value_N)
        weight_N = np.where(is_defined_N, 1 if weight_N is None else weight_N, 0)
        value_N = np.where(is_defined_N, value_N, 0)

        def mean(place_K: NDArray[np.int64]) -> float:
            total = weight_N[place_K].sum()
            if not total:
                raise ValueError(f"a group of {len(place_K)} documents has none with a value")
            return float((weight_N[place_K] * value_N[place_K]).sum() / total)

        found = self.difference(mean)
        left_out = int((~is_defined_N[self.supportive_K]).sum())
        return Difference(found.supportive, found.random_S, left_out)
