"""Pictures alone, for systems that learn to code them.

What a batch holds is said in `modules.vq.system.PictureBatch`.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal, cast

from lightning.pytorch.utilities.rank_zero import rank_zero_only
from typing_extensions import override

from datamodules.documents import Reject
from datamodules.fusion_documents import Draws
from datamodules.fusion_source import FusionSource
from datamodules.loader import Batch, EvaluationLoader, ResumableLoader
from datamodules.order import Mixture
from datamodules.picture_items import PictureItems, Pixels
from datamodules.quarantine import Quarantine
from datamodules.report import distinct
from datamodules.resumable import ResumableData
from datamodules.text import STAGES, Stage


class PictureData(ResumableData):
    """Pictures from one source or a weighted mixture, shuffled anew in every epoch.

    Args:
        train: Sources of training pictures; each gets draws in proportion to its weight.
        validate: Sources of validation pictures, each read once.
        test: Sources of test pictures, likewise; predict takes the first of them.
        size: Side of a picture in pixels: the central square, resized.
        channels: 1 for grey, 3 for colours.
        batch_size: Pictures per device and micro-batch.
        eval_batch_size: The same outside of training; None takes `batch_size`.
        num_samples: Test pictures that predict takes.
        num_workers: Processes that build batches; 0 builds them in the training process.
        seed: Seed of the order; apart from the trainer's.
        max_bad_rate: Share of unusable pictures above which the run stops.

    Raises:
        ValueError: A number is out of bounds, or there is no training source.
    """

    def __init__(
        self,
        train: list[FusionSource],
        validate: list[FusionSource] | None = None,
        test: list[FusionSource] | None = None,
        size: int = 32,
        channels: Literal[1, 3] = 3,
        batch_size: int = 64,
        eval_batch_size: int | None = None,
        num_samples: int = 32,
        num_workers: int = 0,
        seed: int = 0,
        max_bad_rate: float = 0.01,
    ):
        super().__init__()
        self.sources: dict[Stage, list[FusionSource]] = {
            "train": train,
            "validate": validate or [],
            "test": test or [],
        }
        self.size = size
        self.channels = channels
        self.batch_size = batch_size
        self.eval_batch_size = batch_size if eval_batch_size is None else eval_batch_size
        self.num_samples = num_samples
        self.num_workers = num_workers
        self.seed = seed
        self.max_bad_rate = max_bad_rate
        self._check()
        self._items: dict[Stage, PictureItems] = {}
        self._quarantines: dict[Stage, Quarantine] = {}
        self._counts: dict[str, int] | None = None

    def prepare_data(self) -> None:
        """Make caches of what this command reads; Lightning calls it on one process a node."""
        for stage in self._stages(self._command()):
            for source in self.sources[stage]:
                source.prepare()

    def setup(self, stage: str) -> None:
        """Open the sources and say what the training mixture is."""
        for part in self._stages(stage):
            if self.sources[part] and part not in self._items:
                self._items[part] = self._open(part)
                self._quarantines[part] = self._quarantine(part)
        if stage == "fit":
            self._describe()

    def train_dataloader(self) -> ResumableLoader:
        """The endless stream of training pictures."""
        items = self._items["train"]
        if self._counts is not None:
            self._quarantines["train"].load_state_dict(self._counts)
            self._counts = None
        weights = [source.weight for source in self.sources["train"]]
        order = Draws(Mixture(items.sizes, weights, self.seed))
        return self.training_loader(items, order, self.batch_size, self.num_workers)

    def val_dataloader(self) -> EvaluationLoader | list[EvaluationLoader]:
        """Every validation picture once; an empty list where there is none."""
        return self._evaluation("validate") if self.sources["validate"] else []

    def test_dataloader(self) -> EvaluationLoader:
        """Every test picture once.

        Raises:
            ValueError: There is none.
        """
        self._require_test()
        return self._evaluation("test")

    def predict_dataloader(self) -> EvaluationLoader:
        """The first test pictures.

        Raises:
            ValueError: There is none.
        """
        self._require_test()
        return self._evaluation("test", self.num_samples)

    def training_pictures(self) -> Iterator[Pixels]:
        """The pictures of all training sources, uint8 [H, W] or [H, W, 3]; bad ones are left out.

        For whoever makes a palette of them; needs no `setup`.
        """
        for source in self.sources["train"]:
            source.prepare()
        items = self._open("train")
        items.replace = False
        for row in range(len(items)):
            pixels, _, _ = items.take(row)
            if pixels is not None:
                yield pixels

    @override
    def on_before_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        """Take out what was said of bad pictures, and count."""
        rejects = cast(list[Reject], batch.pop("rejects", []))
        stage = self._stage()
        if stage in self._quarantines:
            num = cast(int, batch["num_targets"])
            self._quarantines[stage].note(num if stage == "train" else num + len(rejects), rejects)
        return batch

    @override
    def state_dict(self) -> dict[str, dict[str, int]]:
        counts = self._quarantines["train"].state_dict() if "train" in self._quarantines else None
        return super().state_dict() | ({"samples": counts} if counts else {})

    @override
    def load_state_dict(self, state_dict: dict[str, dict[str, int]]) -> None:
        super().load_state_dict(state_dict)
        self._counts = state_dict.get("samples")

    def _check(self) -> None:
        least = {"size": 1, "num_workers": 0, "seed": 0}
        least |= dict.fromkeys(("batch_size", "eval_batch_size", "num_samples"), 1)
        for name, bound in least.items():
            if vars(self)[name] < bound:
                raise ValueError(f"{name} must be at least {bound}, got {vars(self)[name]}.")
        if not 0.0 <= self.max_bad_rate <= 1.0:
            raise ValueError(f"max_bad_rate must be within [0, 1], got {self.max_bad_rate}.")
        if not self.sources["train"]:
            raise ValueError("train is empty: give it at least one source of pictures.")
        for source in self.sources["train"]:
            if not source.weight > 0:
                raise ValueError(
                    f"the weight of {source.name} must be above 0, got {source.weight}."
                )

    def _command(self) -> str:
        """What the trainer was asked to do; without one, fit."""
        command = None if self.trainer is None else self.trainer.state.fn
        return "fit" if command is None else command.value

    @staticmethod
    def _stages(command: str) -> tuple[Stage, ...]:
        return ("test",) if command == "predict" else STAGES[command]

    def _stage(self) -> Stage:
        if self.trainer is None or self.trainer.training:
            return "train"
        return "test" if self.trainer.testing or self.trainer.predicting else "validate"

    def _require_test(self) -> None:
        if not self.sources["test"]:
            raise ValueError("there are no test pictures: give data.init_args.test a source.")

    def _open(self, stage: Stage) -> PictureItems:
        is_train = stage == "train"
        return PictureItems(self.sources[stage], self.size, self.channels, self.seed, is_train)

    def _quarantine(self, stage: Stage) -> Quarantine:
        """All ranks ask for the folder of the run, since the trainer lets them agree."""
        has_folder = self.trainer is not None and self.trainer.logger is not None
        folder = self.trainer.log_dir if has_folder and self.trainer is not None else None
        rank = self.place()[0]
        name = f"bad_samples{f'.{rank}' if rank else ''}.jsonl"
        file = None if folder is None else Path(folder) / name
        return Quarantine(stage, len(self._items[stage]), self.max_bad_rate, file)

    def _evaluation(self, stage: Stage, limit: int | None = None) -> EvaluationLoader:
        items = self._items[stage]
        num = len(items) if limit is None else min(limit, len(items))
        return self.evaluation_loader(items, num, self.eval_batch_size, self.num_workers)

    def _describe(self) -> None:
        """Print size and share of every training source."""
        items, weights = self._items["train"], [s.weight for s in self.sources["train"]]
        draws = Mixture(items.sizes, weights).draws
        names = distinct([source.name for source in self.sources["train"]])
        for name, size, drawn in zip(names, items.sizes, draws, strict=True):
            rank_zero_only(print)(f"{name}: {size:,} pictures; share {drawn / sum(draws):.1%}")
