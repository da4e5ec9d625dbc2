"""The learning rates of an optimizer step, read before a schedule moves them."""

from itertools import chain

import lightning as L
from torch import Tensor
from torch.optim import Optimizer


class StepRates:
    """The rates of the last step of each optimizer, a number a parameter group."""

    def __init__(self) -> None:
        self.noted: dict[int, list[float | Tensor]] = {}

    def note(self, trainer: L.Trainer, optimizer: Optimizer) -> None:
        """Keep the rates of an optimizer that is about to take a step; nothing is read from it."""
        for number, one in enumerate(trainer.optimizers):
            if one is optimizer:
                self.noted[number] = [kept(group["lr"]) for group in optimizer.param_groups]

    def row(self) -> dict[str, float]:
        """The rates by name; a group that has the rate of the group before it is left out.

        The first is `learning_rate`, that of group 2 `learning_rate/2`; the groups of a second
        optimizer follow those of the first.
        """
        groups = chain.from_iterable(self.noted[number] for number in sorted(self.noted))
        rates = [float(rate) for rate in groups]
        named = enumerate(rates)
        return {
            f"learning_rate/{number}" if number else "learning_rate": rate
            for number, rate in named
            if not number or rate != rates[number - 1]
        }


def kept(rate: float | Tensor) -> float | Tensor:
    """A rate as it is now; a schedule writes into one that is a tensor."""
    return rate.detach().clone() if isinstance(rate, Tensor) else rate
