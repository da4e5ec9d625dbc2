"""What callbacks and schedules watch: a name that is never logged is refused before training."""

from collections.abc import Collection, Iterable, Iterator
from typing import Any, Protocol, runtime_checkable

import lightning as L
from typing_extensions import override

from engine.config.suggestions import nearest
from engine.config.trust import within

ALWAYS = ("step", "epoch")
"""What Lightning itself gives to whatever monitors."""
KNOWN = ("modules", "callbacks", "engine", "lightning.pytorch")
"""Packages of which it is known what they log."""


@runtime_checkable
class Measured(Protocol):
    """A system that knows what it logs of a validation."""

    def validated(self) -> Collection[str]:
        """Names of all that a validation may give; none where it is not known."""
        ...


class Monitors(L.Callback):
    """Refuses a run in which something watches what no validation gives, before its first step.

    It is known of our systems, unless other classes may log as well, and of any module once it has
    been validated before training (`trainer.num_sanity_val_steps`). Elsewhere Lightning says it
    after the first validation.

    Raises:
        ValueError: Names who watches, and what there is.
    """

    @override
    def on_sanity_check_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.num_sanity_val_batches and not trainer.fast_dev_run:  # type: ignore[attr-defined]
            given = [*trainer.callback_metrics]
            watched = [one for one in watching(trainer, pl_module) if "val" in one[1].lower()]
            refuse_unseen(watched, given)

    @override
    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        given = pl_module.validated() if isinstance(pl_module, Measured) else []
        callbacks: list[L.Callback] = trainer.callbacks  # type: ignore[attr-defined]
        loggers = (type(one).__module__ for one in (pl_module, *callbacks))
        if given and all(within(name, KNOWN) for name in loggers):
            refuse_unseen(watching(trainer, pl_module), given)


def watching(trainer: L.Trainer, pl_module: L.LightningModule) -> Iterator[tuple[str, str]]:
    """Who watches, in words, and the name of the quantity."""
    watchers: list[Any] = [*trainer.callbacks]  # type: ignore[attr-defined]
    watchers += [config.scheduler for config in trainer.lr_scheduler_configs]
    for one in watchers:
        name = getattr(one, "monitor", None)
        if isinstance(name, str) and name not in ALWAYS:
            yield type(one).__name__, name


def refuse_unseen(watched: Iterable[tuple[str, str]], given: Collection[str]) -> None:
    """Refuse a quantity that is not among those that a validation gives.

    Raises:
        ValueError: Names who watches it, and what there is.
    """
    for who, name in watched:
        if name not in given:
            there = ", ".join(sorted(given)) or "nothing"
            raise ValueError(
                f"{who} monitors {name}, which a validation does not give"
                f"{nearest(name, given)}; there are {there}"
            )
