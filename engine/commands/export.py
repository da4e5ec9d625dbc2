"""Exports a checkpoint: loads its weights and writes them in the format of other software."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NoReturn, Protocol, runtime_checkable

import lightning as L
import torch
from lightning.pytorch.plugins.precision import HalfPrecision, Precision

from engine.checkpoint.consolidated import read_whole
from engine.config.origins import refuse_remote
from engine.disk.tensors import SHARD_SIZE, check_size
from engine.export.card import write_card
from engine.export.check import Comparable, ComparableFolder, drafted, refuse_difference
from engine.export.facts import Licences, training_facts
from engine.export.folder import open_exported, write_system
from engine.run.precision import cast
from engine.run.trainer import Trainer
from engine.run.weights import origin

Dtype = Literal["float32", "bfloat16", "float16"]
"""What the weights of an exported model can be stored in."""


@runtime_checkable
class Exportable(Protocol):
    """A system that can be written in the format of other software.

    Its `export` may also take `max_shard_size` and `only_trained`, as `Export` has them.
    """

    def export(self, folder: Path) -> None:
        """Write it into a folder."""


@dataclass(frozen=True)
class Loaded:
    """A checkpoint whose weights are in a system.

    Attributes:
        source: What was loaded, in words.
        which: Whether it is an average, in words.
        checkpoint: All that it held but the weights; empty where the config's own were kept.
        dtype: Of the weights, by the trainer's precision.
    """

    source: str
    which: str = "as the config starts"
    checkpoint: dict[str, Any] = field(default_factory=dict)
    dtype: torch.dtype = torch.float32


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
        only_trained: bool = False,
        max_shard_size: str = SHARD_SIZE,
        licences: Licences = Licences(),  # noqa: B008 - frozen
    ) -> None:
        """Write a trained model as a folder that other software opens, with a model card.

        The folder is read back and compared with the network in memory; if they differ, it is
        removed. That takes the weights twice in memory: 32 GB for eight billion in bfloat16.

        Args:
            trainer: Of the training: weights come in the dtype of its precision.
            model: The system.
            datamodule: Not used.
            ckpt_path: Checkpoint to export, a file or a folder of shards or of DeepSpeed; without
                one, the weights the config starts from.
            folder: Where to write; must be new or empty.
            ema: Whether to export the averaged weights where the checkpoint holds them.
            dtype: What to store the weights in; None keeps them as they were trained.
            only_trained: Whether to write trained weights alone, which stand on a frozen base:
                adapters as a folder of peft, image experts as a difference to their language model.
            max_shard_size: Largest file of weights, such as 5GB.
            licences: Of the exported weights, the base and the data; what is not said is stated as
                not stated.

        Raises:
            TypeError: The system has no export.
            FileExistsError: The folder holds something.
            ValueError: The checkpoint is damaged, a weight is too large for the dtype, nothing is
                frozen where trained weights are wanted alone, or the folder would compute something
                else than was trained.
        """
        if not isinstance(model, Exportable):
            refuse_to_export(model)
        refuse_remote(folder, "folder")
        check_size(max_shard_size)
        options = {"only_trained": only_trained, "max_shard_size": max_shard_size}
        with drafted(Path(folder)) as draft:
            loaded = load_for_export(model, ckpt_path, ema, trainer.precision_plugin)
            check_weights(trainer, model)
            path = None if ckpt_path is None else Path(ckpt_path)
            facts = training_facts(model, loaded.checkpoint, path, licences)
            found = write(model, draft, dtype, loaded, **options)
            write_card(model, draft, facts, licences, loaded.which, only_trained)
        print(f"exported {loaded.source} to {folder}: {found}")


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
    source = load_for_export(model, ckpt_path, ema, trainer.precision_plugin).source
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
) -> Loaded:
    """Build the network and load a checkpoint into it.

    The checkpoint is read first: a damaged one is refused before any network is built.

    Args:
        model: The system, whose network need not be built yet.
        ckpt_path: The checkpoint; None leaves the weights the network starts from.
        ema: Whether averaged weights replace the trained ones where there are any.
        precision: Of the training: weights come in the dtype they were trained in.

    Returns:
        What was loaded.
    """
    checkpoint = {} if ckpt_path is None else read_whole(Path(ckpt_path))
    if hasattr(model, "compile_network"):
        model.compile_network = False  # type: ignore[assignment]  # for a few rows
    with precision.module_init_context():
        model.configure_model()
        dtype = torch.get_default_dtype()
    if isinstance(precision, HalfPrecision):
        precision.convert_module(model)
    model.eval()
    if ckpt_path is None:
        return Loaded(origin(model), dtype=dtype)
    model.loading = ckpt_path  # type: ignore[assignment]  # for messages
    model.on_load_checkpoint(checkpoint)
    model.load_state_dict(checkpoint.pop("state_dict"))
    average = checkpoint.pop("ema", None)
    if not (ema and average):
        raw = f"the raw weights of {ckpt_path} (not their average)" if average else ckpt_path
        which = "as trained, not their average" if average else "as trained"
        return Loaded(raw, which, checkpoint, dtype)
    parameters = dict(model.named_parameters())
    with torch.no_grad():
        for name, value in average["weights"].items():
            parameters[name].copy_(value)
    averaged = f"the averaged weights of {ckpt_path}"
    return Loaded(averaged, "averaged over the training", checkpoint, dtype)


def write(
    model: L.LightningModule, folder: Path, dtype: Dtype | None, loaded: Loaded, **options: Any
) -> str:
    """Write a system and compare what was written with the network in memory.

    Args:
        model: The system, an `Exportable`; its weights are cast, and its adapters are merged unless
            trained weights are written alone.
        folder: Where to write.
        dtype: What to store the weights in; None keeps theirs.
        loaded: What is in it.
        options: `only_trained` and `max_shard_size`, for systems whose `export` takes them.

    Returns:
        What the comparison found, in words.

    Raises:
        ValueError: The folder would compute something else.
    """
    assert isinstance(model, Exportable)
    only_trained = bool(options["only_trained"])
    taken = options_taken(model, options)
    wanted = model.outputs() if isinstance(model, Comparable) else None
    merge: Callable[[], None] | None = getattr(model, "merge", None)
    if merge is not None and not only_trained:
        merge()  # in the dtype they were trained in
    if dtype is not None:
        store_as(model, dtype)
    model.export(folder, **taken)
    stored = loaded.dtype if dtype is None else getattr(torch, dtype)
    step = int(loaded.checkpoint.get("global_step", 0))
    has_system = write_system(model, folder, only_trained, step, stored)
    if wanted is None:
        return f"nothing was compared: {type(model).__name__} has no outputs()"
    try:
        if isinstance(model, ComparableFolder) and not only_trained:
            found = model.outputs_of(folder)
        elif has_system:
            found = open_exported(folder).outputs()  # type: ignore[operator]
        else:
            return f"nothing was compared: {type(model).__name__} has no outputs_of(folder)"
        difference = refuse_difference(wanted, found, model)
    except ValueError as error:
        raise ValueError(f"the export is not what was trained, and was removed: {error}") from error
    return f"read again, its outputs differ by {difference:.1e} of their spread"


def options_taken(model: Exportable, options: dict[str, Any]) -> dict[str, Any]:
    """Of the options of an export, those that a system's `export` takes.

    Raises:
        ValueError: Trained weights are wanted alone of a system that cannot write them so.
    """
    known = inspect.signature(model.export).parameters
    if options["only_trained"] and "only_trained" not in known:
        raise ValueError(
            f"only_trained: {type(model).__name__} stands on no frozen model; all of it is written"
        )
    return {name: value for name, value in options.items() if name in known}


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
