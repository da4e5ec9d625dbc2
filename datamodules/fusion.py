"""Images with text for LMFusion: whole documents, several to a batch, ordered by modality.

What a batch holds is said in `modules.lmfusion.system.FusionBatch`, what a prediction batch holds
in `fusion_prompts.FusionPrompts`.
"""

import math
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import cast

import torch
from lightning.pytorch.utilities.rank_zero import rank_zero_only
from typing_extensions import override

from datamodules.documents import Reject
from datamodules.encoding import store_latents
from datamodules.fusion_documents import Composer, Draws, FusionItems
from datamodules.fusion_prompts import FusionPrompts, image_reader, read_fusion_prompts
from datamodules.fusion_source import FusionSource, Pair
from datamodules.loader import Batch, EvaluationLoader, ResumableLoader
from datamodules.order import Mixture
from datamodules.quarantine import Quarantine, UnusableError
from datamodules.report import distinct
from datamodules.resumable import ResumableData
from datamodules.text import STAGES, Stage
from datamodules.tokenizer import TextTokenizer, load_tokenizer
from datamodules.vae import load_vae


class FusionData(ResumableData):
    """Images and text from one source or a weighted mixture, shuffled anew in every epoch.

    Args:
        tokenizer: Folder or hub name of a tokenizer.
        train: Sources of training documents; each gets draws in proportion to its weight.
        validate: Sources of validation documents, read once from end to end.
        test: Sources of test documents, likewise.
        image_size: Side of an image as the network sees it, in pixels, or in latent pixels where
            the sources hold stored latents.
        channels: Channels of it: 3 for pixels, else those of the autoencoder.
        num_patches: Patches that the network makes of an image; a square number.
        row_length: Positions of the longest document; an image takes two more than it has patches,
            one more where it ends the document.
        batch_size: Documents per device and micro-batch.
        eval_batch_size: The same outside of training; None takes `batch_size`.
        caption_first: Probability that a caption stands before its image, else after it
            (Transfusion, sec. 4.1).
        caption_dropout: Probability, in training, that a caption which would stand before its
            image is left out, for classifier-free guidance; the rate is our choice.
        num_workers: Processes that build batches; 0 builds them in the training process.
        seed: Seed of the order and of all that is drawn by chance; apart from the trainer's.
        max_bad_rate: Share of unusable documents above which the run stops.
        quarantine: Folder in which they are listed; None takes the run's own.
        prompts: What predict is asked for: captions, or a .txt or .jsonl file; see
            `fusion_prompts.read_fusion_prompts`.
        vae: Autoencoder for the images of prompts where the network sees latents.

    Raises:
        ValueError: A number is out of bounds, or there is no training source.
    """

    def __init__(
        self,
        tokenizer: str,
        train: list[FusionSource],
        validate: list[FusionSource] | None = None,
        test: list[FusionSource] | None = None,
        image_size: int = 32,
        channels: int = 3,
        num_patches: int = 64,
        row_length: int = 256,
        batch_size: int = 16,
        eval_batch_size: int | None = None,
        caption_first: float = 0.8,
        caption_dropout: float = 0.1,
        num_workers: int = 0,
        seed: int = 0,
        max_bad_rate: float = 0.01,
        quarantine: str | None = None,
        prompts: list[str] | str | None = None,
        vae: str | None = None,
    ):
        super().__init__()
        self.tokenizer = tokenizer
        self.sources: dict[Stage, list[FusionSource]] = {
            "train": train,
            "validate": validate or [],
            "test": test or [],
        }
        self.image_size = image_size
        self.channels = channels
        self.num_patches = num_patches
        self.row_length = row_length
        self.batch_size = batch_size
        self.eval_batch_size = batch_size if eval_batch_size is None else eval_batch_size
        self.caption_first = caption_first
        self.caption_dropout = caption_dropout
        self.num_workers = num_workers
        self.seed = seed
        self.max_bad_rate = max_bad_rate
        self.quarantine = quarantine
        self.prompts = prompts
        self.vae = vae
        self._check()
        self._items: dict[Stage, FusionItems] = {}
        self._quarantines: dict[Stage, Quarantine] = {}
        self._counts: dict[str, int] | None = None
        self._vocabulary: TextTokenizer | None = None

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of an image as the network sees it."""
        return self.channels, self.image_size, self.image_size

    def prepare_data(self) -> None:
        """Make caches of what this command reads; Lightning calls it on one process a node."""
        command = None if self.trainer is None else self.trainer.state.fn
        for stage in STAGES["fit" if command is None else command.value]:
            for source in self.sources[stage]:
                source.prepare()

    def setup(self, stage: str) -> None:
        """Open the sources and say what the training mixture is."""
        folder = self._quarantine_folder()
        rank = self.place()[0]
        for part in STAGES[stage]:
            if self.sources[part] and part not in self._items:
                items = FusionItems(
                    self.sources[part], self._composer(part), self.seed, part == "train"
                )
                items.take(0)  # what is wrong with all of them is said before the run begins
                name = f"bad_samples{f'.{rank}' if rank else ''}.jsonl"
                file = None if folder is None else folder / name
                self._items[part] = items
                self._quarantines[part] = Quarantine(part, len(items), self.max_bad_rate, file)
        if stage == "fit":
            self._describe()

    def train_dataloader(self) -> ResumableLoader:
        """The endless stream of training documents."""
        items = self._items["train"]
        if self._counts is not None:
            self._quarantines["train"].load_state_dict(self._counts)
            self._counts = None
        weights = [source.weight for source in self.sources["train"]]
        order = Draws(Mixture(items.sizes, weights, self.seed))
        return self.training_loader(items, order, self.batch_size, self.num_workers)

    def val_dataloader(self) -> EvaluationLoader | list[EvaluationLoader]:
        """Every validation document once; an empty list where there is none."""
        return self._evaluation(self._items["validate"]) if self.sources["validate"] else []

    def test_dataloader(self) -> EvaluationLoader:
        """Every test document once.

        Raises:
            ValueError: There is none.
        """
        if not self.sources["test"]:
            raise ValueError("there are no test documents: give data.init_args.test a source.")
        return self._evaluation(self._items["test"])

    def predict_dataloader(self) -> EvaluationLoader:
        """Every prompt once."""
        prompts = read_fusion_prompts(self.prompts)
        vae = None if self.vae is None else load_vae(self.vae)
        read = image_reader(self.latent_shape, vae)
        return self._evaluation(FusionPrompts(prompts, self._tokenizer(), read))

    def training_documents(self) -> Iterator[str]:
        """The texts of all training sources, one after the other; needs no tokenizer."""
        for source in self.sources["train"]:
            for index in range(len(source)):
                try:
                    sample = source.sample(index, Random(f"{self.seed}/{index}"))
                except UnusableError:
                    continue
                found = sample.captions if isinstance(sample, Pair) else sample
                yield from (text for text in found if isinstance(text, str))

    def write_latents(self, vae: str, folder: Path) -> Iterator[str]:
        """Encode the images of all sources.

        Args:
            vae: Folder or hub name of an AutoencoderKL.
            folder: Gets one folder a source, `train`, `train1`, `validate`, ...

        Yields:
            One line about each.
        """
        model = load_vae(vae, "cuda" if torch.cuda.is_available() else "cpu")
        for stage, sources in self.sources.items():
            for number, source in enumerate(sources):
                source.prepare()
                place = folder / f"{stage}{number or ''}"
                size, rate = self.image_size, self.max_bad_rate
                meta = store_latents(source, model, place, size, max_bad_rate=rate)
                yield (
                    f"{place}: {meta['documents']} documents, images {meta['shape']}, "
                    f"{meta['bad']} bad ones left out"
                )

    @override
    def on_before_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        """Take out what was said of bad samples, and count."""
        rejects = cast(list[Reject], batch.pop("rejects", []))
        stage = self._stage()
        if stage in self._quarantines and "row_D" in batch:
            rows = cast(list[int], batch["row_D"])
            num_good = sum(row >= 0 for row in rows)
            num_drawn = len(rows) if stage == "train" else num_good + len(rejects)
            self._quarantines[stage].note(num_drawn, rejects)
        return batch

    @override
    def transfer_batch_to_device(
        self, batch: Batch, device: torch.device, dataloader_idx: int
    ) -> Batch:
        if "prompt" in batch:
            prompts = cast(list[dict[str, list[torch.Tensor]]], batch["prompt"])
            moved = [p | {"segments": [s.to(device) for s in p["segments"]]} for p in prompts]
            return batch | {"prompt": moved}
        return super().transfer_batch_to_device(batch, device, dataloader_idx)

    @override
    def state_dict(self) -> dict[str, dict[str, int]]:
        counts = self._quarantines["train"].state_dict() if "train" in self._quarantines else None
        return super().state_dict() | ({"samples": counts} if counts else {})

    @override
    def load_state_dict(self, state_dict: dict[str, dict[str, int]]) -> None:
        super().load_state_dict(state_dict)
        self._counts = state_dict.get("samples")

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
        }
        for name, bound in least.items():
            if vars(self)[name] < bound:
                raise ValueError(f"{name} must be at least {bound}, got {vars(self)[name]}.")
        for name in ("caption_first", "caption_dropout", "max_bad_rate"):
            if not 0.0 <= vars(self)[name] <= 1.0:
                raise ValueError(f"{name} must be within [0, 1], got {vars(self)[name]}.")
        side = math.isqrt(self.num_patches)
        if side**2 != self.num_patches or self.image_size % side:
            raise ValueError(
                f"num_patches must be a square whose side divides image_size={self.image_size}, "
                f"got {self.num_patches}."
            )
        if not self.sources["train"]:
            raise ValueError("train is empty: give it at least one source of images and text.")
        for source in self.sources["train"]:
            if not source.weight > 0:
                raise ValueError(
                    f"the weight of {source.name} must be above 0, got {source.weight}."
                )

    def _stage(self) -> Stage:
        if self.trainer is None or self.trainer.training:
            return "train"
        return "test" if self.trainer.testing else "validate"

    def _composer(self, stage: Stage) -> Composer:
        dropout = self.caption_dropout if stage == "train" else 0.0
        sizes = self.latent_shape, self.num_patches, self.row_length
        return Composer(self._tokenizer(), *sizes, self.caption_first, dropout)

    def _tokenizer(self) -> TextTokenizer:
        if self._vocabulary is None:
            self._vocabulary = load_tokenizer(self.tokenizer)
        return self._vocabulary

    def _evaluation(self, items: FusionItems | FusionPrompts) -> EvaluationLoader:
        return self.evaluation_loader(items, len(items), self.eval_batch_size, self.num_workers)

    def _quarantine_folder(self) -> Path | None:
        """Where bad samples are listed; all ranks ask, since the trainer lets them agree."""
        if self.quarantine is not None:
            return Path(self.quarantine)
        if self.trainer is None or self.trainer.logger is None:
            return None
        return None if self.trainer.log_dir is None else Path(self.trainer.log_dir)

    def _describe(self) -> None:
        """Print size and share of every training source."""
        items, weights = self._items["train"], [s.weight for s in self.sources["train"]]
        draws = Mixture(items.sizes, weights).draws
        names = distinct([source.name for source in self.sources["train"]])
        for name, size, drawn in zip(names, items.sizes, draws, strict=True):
            share = drawn / sum(draws)
            rank_zero_only(print)(f"{name}: {size:,} documents; share {share:.1%}")
