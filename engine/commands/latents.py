"""Encodes the images of a config once, for runs that read their latents."""

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol, runtime_checkable

import lightning as L

from engine.config.origins import refuse_remote


@runtime_checkable
class Images(Protocol):
    """Data whose images can be encoded."""

    def write_latents(
        self, vae: str, folder: Path, device: str, rank: int, world_size: int, part_size: int
    ) -> Iterator[str]:
        """Encode a rank's share of the images of each source; yields a line about each."""


class EncodeLatents:
    """Encodes the images of a config's data once."""

    summary = "encode the images of a config once"

    def run(
        self,
        trainer: L.Trainer,
        model: L.LightningModule,
        datamodule: L.LightningDataModule,
        vae: str,
        folder: str,
        part_size: int = 4096,
        ckpt_path: str | None = None,
    ) -> None:
        """Encode the images of a config's data once, for runs that read their latents.

        Several ranks encode parts in turn, and whichever finds all of them complete finishes the
        folder: no rank waits for another. What was stopped goes on where it was, also on another
        number of ranks.

        Args:
            trainer: Of the config: device and ranks.
            model: Not used.
            datamodule: The data; their `image_size` is the side of what is encoded, in pixels.
            vae: Folder or hub name of an AutoencoderKL of diffusers.
            folder: Where to write; gets a folder a source. All nodes must see it.
            part_size: Documents that are written together; a stopped rank loses those of one part.
            ckpt_path: Not used.

        Raises:
            TypeError: The data have no images.
        """
        if not isinstance(datamodule, Images):
            raise TypeError(f"{type(datamodule).__name__} has no images to encode")
        refuse_remote(folder, "folder")
        if part_size < 1:
            raise ValueError(f"part_size must be at least 1, got {part_size}")
        launcher = trainer.strategy.launcher
        if launcher is not None:  # starts the other ranks of this node, if nothing else did
            launcher.launch(lambda: None, trainer=trainer)
        place = str(trainer.strategy.root_device), trainer.global_rank, trainer.world_size
        for line in datamodule.write_latents(vae, Path(folder), *place, part_size):
            print(line)
