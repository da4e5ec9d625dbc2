"""Encodes the images of a config once, for runs that read their latents."""

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol, runtime_checkable

import lightning as L

from engine.config.origins import refuse_remote


@runtime_checkable
class Images(Protocol):
    """Data whose images can be encoded."""

    def write_latents(self, vae: str, folder: Path) -> Iterator[str]:
        """Encode the images of each source in turn; yields a line about each."""


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
        ckpt_path: str | None = None,
    ) -> None:
        """Encode the images of a config's data once, for runs that read their latents.

        Args:
            trainer: Not used.
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
