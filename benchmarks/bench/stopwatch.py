"""Times steps inside a fit, and a terminal for its progress bar."""

import io
from collections.abc import Callable
from contextlib import ExitStack, redirect_stderr, redirect_stdout
from time import perf_counter
from typing import Any

import lightning as L
from typing_extensions import override


class Stopwatch(L.Callback):
    """Seconds from the beginning of one step to the beginning of a later one.

    Everything that happens between two steps is inside: loader, callbacks, loops.

    Args:
        num_warm: Steps before the first reading.
        num_steps: Steps between the readings.
        clock: What is read, in seconds.
    """

    def __init__(self, num_warm: int, num_steps: int, clock: Callable[[], float] = perf_counter):
        self.clock = clock
        self.num_warm = num_warm
        self.num_steps = num_steps
        self.marks: list[float] = []

    @override
    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        if trainer.global_step in (self.num_warm, self.num_warm + self.num_steps):
            self.marks.append(self.clock())

    @property
    def max_steps(self) -> int:
        """Steps that a fit must take for the second reading."""
        return self.num_warm + self.num_steps + 1

    @property
    def seconds_a_step(self) -> float:
        """Mean time of a step."""
        first, last = self.marks
        return (last - first) / self.num_steps


class Terminal(io.StringIO):
    """Takes what is drawn, and says that somebody is looking."""

    @override
    def isatty(self) -> bool:
        return True


def on_a_terminal() -> ExitStack:
    """Within it, programs draw and print as on a terminal; nothing of it is seen."""
    stack = ExitStack()
    stack.enter_context(redirect_stderr(Terminal()))
    stack.enter_context(redirect_stdout(Terminal()))
    return stack
