"""Images without text, for systems that learn to code them.

`modules.vq.system.ImageBatch` describes a batch.
"""

from collections.abc import Iterator
from typing import Literal, cast

from typing_extensions import override

from datamodules.images.items import ImageItems, Pixels
from datamodules.images.preprocess import MAX_PIXELS, VERSION
from datamodules.images.source import ImageSource
from datamodules.stream.checks import check_bounds, check_choice, check_shares, check_sources
from datamodules.stream.loader import Batch, EvaluationLoader
from datamodules.stream.samples import MixtureData
from datamodules.stream.stages import Stage


class ImageData(MixtureData[ImageSource, Pixels]):
    """Images from one source or a weighted mixture, shuffled again in every epoch.

    Args:
        train: Sources of training images; each gets draws in proportion to its weight.
        validate: Sources of validation images, each read once.
        test: Sources of test images, likewise; predict takes the first of them.
        size: Side of an image in pixels: the central square, resized.
        channels: 1 for grey, 3 for colours.
        batch_size: Images per device and micro-batch.
        eval_batch_size: The same outside of training; None takes `batch_size`.
        num_samples: Test images that predict takes.
        num_workers: Processes that build batches; 0 builds them in the training process.
        seed: Seed of the order; independent of the trainer's.
        max_bad_rate: Share of unusable images above which the run stops.
        max_pixels: Pixels of the largest file that is opened; larger ones count as bad, since a
            few bytes can claim any size.

    Raises:
        ValueError: A number is out of bounds, or there is no training source.
    """

    version = VERSION
    unit = "images"

    def __init__(
        self,
        train: list[ImageSource],
        validate: list[ImageSource] | None = None,
        test: list[ImageSource] | None = None,
        size: int = 32,
        channels: Literal[1, 3] = 3,
        batch_size: int = 64,
        eval_batch_size: int | None = None,
        num_samples: int = 32,
        num_workers: int = 0,
        seed: int = 0,
        max_bad_rate: float = 0.01,
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
        self.size = size
        self.channels = channels
        self.num_samples = num_samples
        self.max_pixels = max_pixels
        self._check()

    def predict_dataloader(self) -> EvaluationLoader:
        """The first test images.

        Raises:
            ValueError: There is none.
        """
        return self.once("test", self.num_samples)

    def training_images(self) -> Iterator[Pixels]:
        """The images of all training sources, uint8 [H, W] or [H, W, 3]; bad ones are left out.

        For training a palette; needs no `setup`.
        """
        for source in self.sources["train"]:
            source.prepare()
        items = self.open("train")
        items.replace = False
        for row in range(len(items)):
            pixels, _, _ = items.take(row)
            if pixels is not None:
                yield pixels

    @override
    def open(self, stage: Stage) -> ImageItems:
        is_train = stage == "train"
        options = self.size, self.channels, self.seed, is_train, self.max_pixels
        return ImageItems(self.sources[stage], *options)

    @property
    @override
    def form(self) -> list[object]:
        return [self.size, self.channels, self.max_pixels]

    @override
    def num_drawn(self, batch: Batch, stage: Stage, num_bad: int) -> int:
        num_good = cast(int, batch["num_targets"])
        return num_good if stage == "train" else num_good + num_bad

    @override
    def num_sound(self, batch: Batch) -> int:
        return cast(int, batch["num_targets"])

    @override
    def stages(self, command: str) -> tuple[Stage, ...]:
        return ("test",) if command == "predict" else super().stages(command)

    def _check(self) -> None:
        least = {"size": 1, "num_workers": 0, "seed": 0, "max_pixels": 1}
        least |= dict.fromkeys(("batch_size", "eval_batch_size", "num_samples"), 1)
        check_bounds(vars(self), least)
        check_choice("channels", self.channels, (1, 3))
        check_shares(vars(self), ["max_bad_rate"])
        check_sources(self.sources["train"], "images")
