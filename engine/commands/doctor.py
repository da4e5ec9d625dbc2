"""Examines the model of a config on this machine."""

from collections.abc import Iterator
from typing import Protocol, runtime_checkable

import lightning as L

from engine.commands.export import connect, load_on_device


class Checked(Protocol):
    """What one check found."""

    @property
    def text(self) -> str:
        """In a line."""

    @property
    def is_sound(self) -> bool | None:
        """Whether all is as it should be; None where it could not be checked."""


@runtime_checkable
class Examined(Protocol):
    """A system that can be examined."""

    def examine(self) -> Iterator[Checked]:
        """Check what it computes, one thing after another."""


class Doctor:
    """Examines the model of a config."""

    summary = "check that a model scores documents in a batch as it scores them alone"

    def run(
        self,
        trainer: L.Trainer,
        model: L.LightningModule,
        datamodule: L.LightningDataModule | None = None,
        ckpt_path: str | None = None,
        ema: bool = True,
    ) -> None:
        """Check that a model scores documents in a batch as alone, by each kernel and dtype.

        A line says what was compared, by how much both differ and what rounding may make; the exit
        code is not 0 where something differs by more.

        Args:
            trainer: Of the config: the device.
            model: The system.
            datamodule: Not used: documents are of random tokens.
            ckpt_path: A checkpoint to examine; without one, the weights of the config.
            ema: Whether averaged weights count where the checkpoint holds them.

        Raises:
            TypeError: The system has no such check.
            ValueError: Something differs; or the weights are untrained, and that is not meant.
        """
        if not isinstance(model, Examined):
            raise TypeError(f"{type(model).__name__} has no check of its own: it has no examine()")
        connect(trainer, model)
        trainer.print(f"examining {load_on_device(trainer, model, ckpt_path, ema)}")
        found = list[bool | None]()
        for one in model.examine():
            trainer.print(one.text)
            found.append(one.is_sound)
        wrong, checked = found.count(False), len(found) - found.count(None)
        if wrong:
            raise ValueError(f"{wrong} of {checked} checks differ by more than rounding may make")
        trainer.print(f"all {checked} checks agree")
