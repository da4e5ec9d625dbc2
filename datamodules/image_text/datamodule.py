"""Images with text for LMFusion: whole documents, several to a batch, ordered by modality.

`modules.lmfusion.batch.ImageTextBatch` describes a batch, and
`datamodules.image_text.prompts.ImageTextPrompts` a batch of predict.
"""

import math
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from random import Random
from typing import cast

import numpy as np
import torch
from lightning.pytorch.trainer.states import TrainerFn
from typing_extensions import override

from datamodules.image_text.batch import DocumentImage, ImageTextDocument, collate
from datamodules.image_text.documents import Composer, ImageFirst, ImageTextItems
from datamodules.image_text.prompts import (
    ImageTextPrompts,
    Prompt,
    image_reader,
    read_image_text_prompts,
)
from datamodules.images.encode_latents import Share, store_latents
from datamodules.images.preprocess import MAX_PIXELS, VERSION
from datamodules.images.source import ImageSource, Pair
from datamodules.images.vae import load_vae
from datamodules.records.document import BadSample
from datamodules.records.faults import attempt
from datamodules.stream.checks import check_bounds, check_shares, check_sources
from datamodules.stream.loader import Batch, EvaluationLoader
from datamodules.stream.samples import MixtureData
from datamodules.stream.stages import Stage
from datamodules.text.tokenizer import TextTokenizer, load_tokenizer

CAPTION = 28
"""Tokens of the caption of an example, as long ones are."""


class ImageTextData(MixtureData[ImageSource, ImageTextDocument]):
    """Images and text from one source or a weighted mixture, shuffled again in every epoch.

    Args:
        tokenizer: Folder or hub name of a tokenizer.
        train: Sources of training documents; each gets draws in proportion to its weight.
        validate: Sources of validation documents, read once in order.
        test: Sources of test documents, likewise.
        image_size: Side of an image as the network sees it, in pixels, or in latent pixels where
            the sources are `StoredLatents`.
        channels: Channels of it: 3 for pixels, else those of the autoencoder.
        num_patches: Patches that the network makes of an image; a square number.
        row_length: Positions of the longest document; an image takes two more than it has patches,
            one more where it ends the document.
        batch_size: Documents per device and micro-batch.
        eval_batch_size: The same outside of training; None takes `batch_size`.
        caption_first: Probability that a caption precedes its image, else it follows
            (Transfusion, sec. 4.1).
        caption_dropout: Probability, in training, that the text of a document is dropped if any of
            it precedes an image to be predicted, for classifier-free guidance; the rate is our
            choice.
        image_first: How an image that precedes its caption is trained: "noised" a little and
            predicted, as in Transfusion (table 8; LMFusion's `read_signal` is the limit), or
            "clean" context without an image loss, as at test time.
        num_workers: Processes that build batches; 0 builds them in the training process.
        seed: Seed of the order and of all random choices; independent of the trainer's.
        max_bad_rate: Share of unusable documents above which the run stops.
        bad_samples: Folder in which they are listed; None takes the run's own.
        prompts: Prompts of predict: captions, or a .txt or .jsonl file; see
            `datamodules.image_text.prompts.read_image_text_prompts`.
        vae: Autoencoder for the images of prompts where the network sees latents.
        max_pixels: Pixels of the largest image file that is opened; a document with a larger one is
            unusable, since a few bytes can claim any size.

    Raises:
        ValueError: A number is out of bounds, or there is no training source.
    """

    version = VERSION
    unit = "documents"

    def __init__(
        self,
        tokenizer: str,
        train: list[ImageSource],
        validate: list[ImageSource] | None = None,
        test: list[ImageSource] | None = None,
        image_size: int = 32,
        channels: int = 3,
        num_patches: int = 64,
        row_length: int = 256,
        batch_size: int = 16,
        eval_batch_size: int | None = None,
        caption_first: float = 0.8,
        caption_dropout: float = 0.1,
        image_first: ImageFirst = "noised",
        num_workers: int = 0,
        seed: int = 0,
        max_bad_rate: float = 0.01,
        bad_samples: str | None = None,
        prompts: list[str] | str | None = None,
        vae: str | None = None,
        max_pixels: int = MAX_PIXELS,
    ):
        super().__init__(
            {"train": train, "validate": validate or [], "test": test or []},
            batch_size=batch_size,
            eval_batch_size=eval_batch_size,
            num_workers=num_workers,
            seed=seed,
            max_bad_rate=max_bad_rate,
        )
        self.tokenizer = tokenizer
        self.image_size = image_size
        self.channels = channels
        self.num_patches = num_patches
        self.row_length = row_length
        self.caption_first = caption_first
        self.caption_dropout = caption_dropout
        self.image_first: ImageFirst = image_first
        self.bad_samples = bad_samples
        self.prompts = prompts
        self.vae = vae
        self.max_pixels = max_pixels
        self._check()
        self._vocabulary: TextTokenizer | None = None

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of an image as the network sees it."""
        return self.channels, self.image_size, self.image_size

    @cached_property
    def wanted(self) -> list[Prompt]:
        """The prompts of predict."""
        return read_image_text_prompts(self.prompts, self.max_bad_rate)

    @override
    def prepare_data(self) -> None:
        """Also checks prompts, before any weights are loaded."""
        super().prepare_data()
        if self.trainer is not None and self.trainer.state.fn == TrainerFn.PREDICTING:
            _ = self.wanted

    def predict_dataloader(self) -> EvaluationLoader:
        """Every prompt once."""
        prompts = self.wanted
        vae = None if self.vae is None else load_vae(self.vae)
        read = image_reader(self.latent_shape, vae, self.max_pixels)
        items = ImageTextPrompts(prompts, self._tokenizer(), read)
        return self.evaluation_loader(items, len(items), self.eval_batch_size, self.num_workers)

    def training_documents(self) -> Iterator[str]:
        """The texts of all training sources, one after the other; needs no tokenizer."""
        for source in self.sources["train"]:
            for index in range(len(source)):
                rng = Random(f"{self.seed}/{index}")
                sample = attempt(source.location(index), source.sample, index, rng)
                if isinstance(sample, BadSample):
                    continue
                parts = sample.captions if isinstance(sample, Pair) else sample
                yield from (part for part in parts if isinstance(part, str))

    def write_latents(
        self,
        vae: str,
        folder: Path,
        device: str = "cpu",
        rank: int = 0,
        world_size: int = 1,
        part_size: int = 4096,
    ) -> Iterator[str]:
        """Encode the images of all sources, or the share of one of several processes.

        Args:
            vae: Folder or hub name of an AutoencoderKL.
            folder: Receives one folder per source, `train`, `train1`, `validate`, ...
            device: Device to compute on.
            rank: Number of this process, from 0.
            world_size: Number of processes.
            part_size: Documents that are written together.

        Yields:
            One line about each.
        """
        model, share = load_vae(vae, device), Share(rank, world_size, part_size)
        for stage, sources in self.sources.items():
            for index, source in enumerate(sources):
                source.prepare()
                target = folder / f"{stage}{index or ''}"
                size, rate, most = self.image_size, self.max_bad_rate, self.max_pixels
                meta = store_latents(
                    source, model, target, size, max_bad_rate=rate, max_pixels=most, share=share
                )
                if meta is None:
                    yield f"{target}: rank {rank} has encoded its parts; those of others follow"
                    continue
                yield (
                    f"{target}: {meta['documents']} documents, images {meta['shape']}, "
                    f"{meta['bad']} bad ones left out"
                )

    def example(self) -> tuple[Batch, int]:
        """A training batch of blank pairs, caption first, and its positions; reads no data."""
        image = DocumentImage(np.zeros(self.latent_shape, np.float32), True, False)
        room = self.row_length - self.num_patches - 1
        caption = [0] * max(1, min(CAPTION, room))
        rows = list(range(self.batch_size))
        batch = collate([[caption, image] for _ in rows], rows, self.num_patches, self.latent_shape)
        targets = cast(dict[str, int], batch["num_targets"])
        num = self.batch_size * (len(caption) + self.num_patches + 1)
        return batch | {"step_targets": targets}, num

    @override
    def open(self, stage: Stage) -> ImageTextItems:
        composer = self._composer(stage)
        items = ImageTextItems(self.sources[stage], composer, self.seed, stage == "train")
        items.take(0)  # if all of them are bad, the run stops before it begins
        return items

    @property
    @override
    def form(self) -> list[object]:
        sizes = [self.latent_shape, self.num_patches, self.row_length, self.max_pixels]
        return [self._tokenizer().fingerprint, *sizes]

    @override
    def num_drawn(self, batch: Batch, stage: Stage, num_bad: int) -> int | None:
        if "row_D" not in batch:  # prompts
            return None
        rows = cast(list[int], batch["row_D"])
        return len(rows) if stage == "train" else sum(row >= 0 for row in rows) + num_bad

    @override
    def num_sound(self, batch: Batch) -> int:
        return sum(row >= 0 for row in cast(list[int], batch["row_D"]))

    @override
    def bad_samples_folder(self) -> Path | None:
        return super().bad_samples_folder() if self.bad_samples is None else Path(self.bad_samples)

    @override
    def transfer_batch_to_device(
        self, batch: Batch, device: torch.device, dataloader_idx: int
    ) -> Batch:
        if "prompt" in batch:
            prompts = cast(list[dict[str, list[torch.Tensor]]], batch["prompt"])
            moved = [p | {"segments": [s.to(device) for s in p["segments"]]} for p in prompts]
            return batch | {"prompt": moved}
        return super().transfer_batch_to_device(batch, device, dataloader_idx)

    def _check(self) -> None:
        least = {
            "image_size": 1,
            "channels": 1,
            "num_patches": 1,
            "row_length": self.num_patches + 2,
            "batch_size": 1,
            "eval_batch_size": 1,
            "num_workers": 0,
            "seed": 0,
            "max_pixels": 1,
        }
        check_bounds(vars(self), least)
        check_shares(vars(self), ("caption_first", "caption_dropout", "max_bad_rate"))
        side = math.isqrt(self.num_patches)
        if side**2 != self.num_patches or self.image_size % side:
            raise ValueError(
                f"num_patches must be a square whose side divides image_size={self.image_size}, "
                f"got {self.num_patches}."
            )
        check_sources(self.sources["train"], "images and text")

    def _composer(self, stage: Stage) -> Composer:
        dropout = self.caption_dropout if stage == "train" else 0.0
        sizes = self.latent_shape, self.num_patches, self.row_length
        shares = self.caption_first, dropout
        own = self.image_first, self.max_pixels
        return Composer(self._tokenizer(), *sizes, *shares, *own)

    def _tokenizer(self) -> TextTokenizer:
        if self._vocabulary is None:
            self._vocabulary = load_tokenizer(self.tokenizer)
        return self._vocabulary
