"""Exports a checkpoint: loads its weights and writes them in the format of other software."""

from collections.abc import Callable
from pathlib import Path
from typing import Literal, NoReturn, Protocol, runtime_checkable

import lightning as L
import torch
from lightning.pytorch.plugins.precision import HalfPrecision, Precision

from engine.checkpoint.io import SafeCheckpointIO
from engine.commands.export_check import Comparable, drafted, refuse_difference
from engine.config.origins import refuse_remote
from engine.run.precision import cast
from engine.run.trainer import Trainer
from engine.run.weights import origin

Dtype = Literal["float32", "bfloat16", "float16"]
"""What the weights of an exported model can be stored in."""


@runtime_checkable
class Exportable(Protocol):
    """A system that can be written in the format of other software."""

    def export(self, folder: Path) -> None:
        """Write it into a folder."""


class Export:
    """Writes a trained model as a folder that other software opens."""

    summary = "write a checkpoint as a folder that other software opens"

    def run(
        self,
        trainer: L.Trainer,
        model: L.LightningModule,
        datamodule: L.LightningDataModule | None = None,
        ckpt_path: str | None = None,
        folder: str = "exported",
        ema: bool = True,
        dtype: Dtype | None = None,
    ) -> None:
        """Write a trained model as a folder that other software opens.

        The folder is read back and compared with the network in memory; if they differ, it is
        removed. That takes the weights twice in memory: 32 GB for eight billion in bfloat16.

        Args:
            trainer: Of the training: weights come in the dtype of its precision.
            model: The system.
            datamodule: Not used.
            ckpt_path: Checkpoint to export; without one, the weights the config starts from.
            folder: Where to write; must be new or empty.
            ema: Whether to export the averaged weights where the checkpoint holds them.
            dtype: What to store the weights in; None keeps them as they were trained.

        Raises:
            TypeError: The system has no export.
            FileExistsError: The folder holds something.
            ValueError: A weight is too large for the dtype, or the folder would compute something
                else than was trained.
        """
        if not isinstance(model, Exportable):
            refuse_to_export(model)
        refuse_remote(folder, "folder")
        with drafted(Path(folder)) as draft:
            source = load_for_export(model, ckpt_path, ema, trainer.precision_plugin)
            check_weights(trainer, model)
            found = write(model, draft, dtype)
        print(f"exported {source} to {folder}: {found}")


def connect(trainer: L.Trainer, model: L.LightningModule) -> None:
    """Let a system know its device and ranks, for a command that the trainer has no loop for."""
    trainer.strategy.connect(model)
    trainer.strategy.setup_environment()
    model.trainer = trainer


def load_on_device(
    trainer: L.Trainer, model: L.LightningModule, ckpt_path: str | None, ema: bool
) -> str:
    """Load a connected system and move it to its device; every rank holds all weights.

    Args:
        trainer: Of the config: device, precision and ranks.
        model: The system.
        ckpt_path: A checkpoint; without one, the weights of the config.
        ema: Whether averaged weights count where the checkpoint holds them.

    Returns:
        What was loaded, in words.

    Raises:
        ValueError: The weights are untrained, and that is not meant.
    """
    source = load_for_export(model, ckpt_path, ema, trainer.precision_plugin)
    check_weights(trainer, model)
    model.to(trainer.strategy.root_device)
    return source


def check_weights(trainer: L.Trainer, model: L.LightningModule) -> None:
    """Refuse untrained weights that are not meant.

    Raises:
        ValueError: They are untrained.
    """
    if isinstance(trainer, Trainer) and trainer.weights is not None:
        trainer.weights.check(model)


def refuse_to_export(model: L.LightningModule) -> NoReturn:
    """Refuse an export, with the reason that the system gives.

    Raises:
        TypeError: Always.
    """
    reason = getattr(model, "no_export", "it has no method export(folder); docs/adding_a_system.md")
    raise TypeError(f"{type(model).__name__} cannot be exported: {reason}")


def load_for_export(
    model: L.LightningModule, ckpt_path: str | None, ema: bool, precision: Precision
) -> str:
    """Build the network and load a checkpoint into it.

    Args:
        model: The system, whose network need not be built yet.
        ckpt_path: The checkpoint; None leaves the weights the network starts from.
        ema: Whether averaged weights replace the trained ones where there are any.
        precision: Of the training: weights come in the dtype they were trained in.

    Returns:
        What was loaded, in words.
    """
    if hasattr(model, "compile_network"):
        model.compile_network = False  # type: ignore[assignment]  # for a few rows
    with precision.module_init_context():
        model.configure_model()
    if isinstance(precision, HalfPrecision):
        precision.convert_module(model)
    model.eval()
    if ckpt_path is None:
        return origin(model)
    checkpoint = SafeCheckpointIO().load_checkpoint(ckpt_path)
    model.loading = ckpt_path  # type: ignore[assignment]  # for messages
    model.on_load_checkpoint(checkpoint)
    model.load_state_dict(checkpoint["state_dict"])
    average = checkpoint.get("ema")
    if not (ema and average):
        return ckpt_path
    parameters = dict(model.named_parameters())
    with torch.no_grad():
        for name, value in average["weights"].items():
            parameters[name].copy_(value)
    return f"the averaged weights of {ckpt_path}"


def write(model: L.LightningModule, folder: Path, dtype: Dtype | None) -> str:
    """Write a system and compare what was written with the network in memory.

    Args:
        model: The system, an `Exportable`; its adapters are merged, and its weights cast.
        folder: Where to write.
        dtype: What to store the weights in; None keeps theirs.

    Returns:
        What the comparison found, in words.

    Raises:
        ValueError: The folder would compute something else.
    """
    assert isinstance(model, Exportable)
    wanted = model.outputs() if isinstance(model, Comparable) else None
    merge: Callable[[], None] | None = getattr(model, "merge", None)
    if merge is not None:
        merge()  # in the dtype they were trained in
    if dtype is not None:
        store_as(model, dtype)
    model.export(folder)
    if wanted is None or not isinstance(model, Comparable):
        return f"nothing was compared: {type(model).__name__} has no outputs_of(folder)"
    try:
        difference = refuse_difference(wanted, model.outputs_of(folder), model)
    except ValueError as error:
        raise ValueError(f"the export is not what was trained, and was removed: {error}") from error
    return f"read again, its outputs differ by {difference:.1e} of their spread"


def store_as(model: L.LightningModule, dtype: Dtype) -> None:
    """Turn all floating-point weights of a model into another dtype.

    Args:
        model: The system; changed in place.
        dtype: What to store them in.

    Raises:
        ValueError: A finite weight is too large for the dtype; names it and its value.
    """
    wanted: torch.dtype = getattr(torch, dtype)
    for name, parameter in model.named_parameters():
        greatest = parameter.detach().abs().max()
        if greatest.isfinite() and not greatest.to(wanted).isfinite():
            raise ValueError(f"{name} holds {greatest:.3g}, which {dtype} cannot; take bfloat16")
    cast(model, wanted)
