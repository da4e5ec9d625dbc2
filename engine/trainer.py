"""Lightning's Trainer, with the four commands that it lacks."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from time import monotonic
from typing import Any, Protocol, runtime_checkable

import lightning as L
import numpy as np
from lightning.pytorch.trainer.states import TrainerFn
from numpy.typing import NDArray
from typing_extensions import override

from engine.agreement import Ranks
from engine.comparison import drafted
from engine.export import Dtype, Exportable, load_for_export, refuse_to_export, write
from engine.interruption import Interrupted, Interruptions, Signals
from engine.palette import train_palette
from engine.places import refuse_remote
from engine.repeated import last_of_each
from engine.soundness import SoundSteps, refuse_non_finite
from engine.tokenizer import train_tokenizer
from engine.weights import WeightsTold
from engine.whole_steps import WholeSteps


@runtime_checkable
class Texts(Protocol):
    """Data from which a tokenizer can be trained."""

    def training_documents(self) -> Iterator[str]:
        """The training texts, one after another."""


@runtime_checkable
class Images(Protocol):
    """Data whose images can be encoded."""

    def write_latents(self, vae: str, folder: Path) -> Iterator[str]:
        """Encode the images of each source in turn; yields a line about each."""


@runtime_checkable
class Pictures(Protocol):
    """Data of whose pictures a palette can be made."""

    def training_pictures(self) -> Iterator[NDArray[np.uint8]]:
        """The training pictures, uint8 [H, W, 3], one after another."""


class Trainer(L.Trainer):
    """Fits, validates, tests, predicts, exports, trains tokenizers, makes palettes and latents.

    Trains by whole optimizer steps: they are what signals wait for and what checkpoints hold.

    Args:
        callbacks: What observes runs; of two of a kind that a run has one of, the last counts.
        max_skipped_steps: Steps in a row with a loss or gradient that is not finite, which are left
            out, that end the run.
        options: Those of Lightning's Trainer.
    """

    def __init__(
        self,
        *args: Any,
        callbacks: list[L.Callback] | L.Callback | None = None,
        max_skipped_steps: int = 5,
        **kwargs: Any,
    ):
        if max_skipped_steps < 1:
            raise ValueError(f"max_skipped_steps must be at least 1, got {max_skipped_steps}")
        listed = [callbacks] if isinstance(callbacks, L.Callback) else callbacks or []
        super().__init__(*args, callbacks=last_of_each(listed), **kwargs)
        self.ranks = Ranks()
        self.whole_steps = WholeSteps()
        self._signal_connector = self.signals = Signals(self)
        # a collective and a wait for the device in every batch; ours is one a step, on the CPU
        self.fit_loop.epoch_loop._broadcast_sigterm_tensor = nothing  # type: ignore[method-assign]
        kept: list[L.Callback] = self.callbacks  # type: ignore[attr-defined]
        kept.insert(0, self.whole_steps)
        kept += [SoundSteps(max_skipped_steps), Interruptions(self.signals, self.ranks)]

    weights: WeightsTold | None = None
    """Which weights a command line chose; None where it was not the command line that asked."""

    @property
    @override
    def received_sigterm(self) -> bool:
        """Never, for Lightning's loops: `Interruptions` ends them, on all ranks at one place."""
        return False

    @override
    def save_checkpoint(
        self, filepath: Any, weights_only: bool | None = None, storage_options: Any = None
    ) -> None:
        """Save the last whole step, whoever asks for it and whenever; every rank must call.

        Raises:
            NotFiniteError: A weight is not finite.
        """
        if self.state.fn != TrainerFn.FITTING:
            super().save_checkpoint(filepath, weights_only, storage_options)
            return
        refuse_non_finite(self, self.ranks)
        with self.whole_steps.restored(self):
            super().save_checkpoint(filepath, weights_only, storage_options)

    def _run(self, *args: Any, **kwargs: Any) -> Any:
        """A fault that a signal brought about, as where it ends the data's workers, is its end."""
        self.signals.noted = 0
        try:
            return super()._run(*args, **kwargs)
        except Exception as error:
            if self.signals.noted:
                raise Interrupted(self.signals.noted) from error
            raise

    def export(
        self,
        model: L.LightningModule,
        datamodule: L.LightningDataModule | None = None,
        ckpt_path: str | None = None,
        folder: str = "exported",
        ema: bool = True,
        dtype: Dtype | None = None,
    ) -> None:
        """Write a trained model as a folder that other software opens.

        The folder is read again and gives what the network in memory does, or there is none. That
        takes the weights twice in memory: 32 GB for eight billion in bfloat16.

        Args:
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
            source = load_for_export(model, ckpt_path, ema, self.precision_plugin)
            if self.weights is not None:
                self.weights.check(model)
            found = write(model, draft, dtype)
        print(f"exported {source} to {folder}: {found}")

    def tokenizer(
        self,
        model: L.LightningModule,
        datamodule: L.LightningDataModule,
        folder: str,
        vocab_size: int = 4096,
        num_documents: int | None = None,
        ckpt_path: str | None = None,
    ) -> None:
        """Train a byte-level BPE tokenizer from the data of a config.

        Args:
            model: Not used.
            datamodule: The data.
            folder: Where to write the tokenizer.
            vocab_size: Number of token ids, the 256 bytes and the end of text among them.
            num_documents: How many documents are read, the first ones; all where None.
            ckpt_path: Not used.

        Raises:
            TypeError: The data are no texts.
            ValueError: `num_documents` is below 1.
        """
        if num_documents is not None and num_documents < 1:
            raise ValueError(f"num_documents must be at least 1, got {num_documents}")
        if not isinstance(datamodule, Texts):
            raise TypeError(f"{type(datamodule).__name__} has no texts to train a tokenizer from")
        refuse_remote(folder, "folder")
        self.state.fn = TrainerFn.FITTING
        texts = told(islice(datamodule.training_documents(), num_documents))
        alphabet = getattr(datamodule, "alphabet", None)
        print(train_tokenizer(texts, vocab_size, Path(folder), alphabet))

    def palette(
        self,
        model: L.LightningModule,
        datamodule: L.LightningDataModule,
        folder: str,
        num_colours: int = 512,
        seed: int = 0,
        ckpt_path: str | None = None,
    ) -> None:
        """Find the colours that stand for all others, from the training pictures of a config.

        Args:
            model: Not used.
            datamodule: The data.
            folder: Where to write the palette.
            num_colours: Number of colours.
            seed: Of the pixels that are looked at and of the clusters.
            ckpt_path: Not used.

        Raises:
            TypeError: The data are no pictures.
        """
        if not isinstance(datamodule, Pictures):
            raise TypeError(f"{type(datamodule).__name__} has no pictures to make a palette of")
        refuse_remote(folder, "folder")
        print(train_palette(datamodule.training_pictures(), num_colours, Path(folder), seed))

    def latents(
        self,
        model: L.LightningModule,
        datamodule: L.LightningDataModule,
        vae: str,
        folder: str,
        ckpt_path: str | None = None,
    ) -> None:
        """Encode the images of a config's data once, for runs that read their latents.

        Args:
            model: Not used.
            datamodule: The data; their `image_size` is the side of what is encoded, in pixels.
            vae: Folder or hub name of an AutoencoderKL of diffusers.
            folder: Where to write; gets a folder a source.
            ckpt_path: Not used.

        Raises:
            TypeError: The data have no images.
        """
        if not isinstance(datamodule, Images):
            raise TypeError(f"{type(datamodule).__name__} has no images to encode")
        refuse_remote(folder, "folder")
        for line in datamodule.write_latents(vae, Path(folder)):
            print(line)


def told(texts: Iterator[str], seconds: float = 30.0) -> Iterator[str]:
    """Texts as they come; every so many seconds a line says how many there were."""
    last = monotonic()
    for number, text in enumerate(texts, 1):
        yield text
        if monotonic() - last > seconds:
            last = monotonic()
            print(f"{number:,} texts read", flush=True)


def nothing() -> None:
    """Do nothing; a name that other processes know as well."""
