"""Samples that are read by index and may be bad, and the datamodule that mixes their sources."""

import json
from abc import ABC, abstractmethod
from collections.abc import Sequence
from random import Random
from typing import ClassVar, Generic, TypeVar, cast

import numpy as np
from lightning.pytorch.utilities.rank_zero import rank_zero_only
from typing_extensions import override

from datamodules.records.document import BadSample, printable
from datamodules.records.faults import attempt
from datamodules.records.sample_tally import SampleTally
from datamodules.records.source import IndexedSource, distinct
from datamodules.stream.datamodule import ResumableData
from datamodules.stream.loader import Batch, EvaluationLoader, ResumableLoader
from datamodules.stream.order import Draws, Mixture
from datamodules.stream.stages import STAGES, Stage

Sample = TypeVar("Sample")
Supply = TypeVar("Supply", bound=IndexedSource)
TRIES = 100
"""Samples of a source that are tried per draw, substitutes included."""


class SourceItems(ABC, Generic[Supply, Sample]):
    """The samples of several sources as one sequence.

    Args:
        sources: The sources; ids continue from one to the next.
        seed: Seed of all random choices.
        replace: Whether a substitute for a bad sample counts as a sample, as in training.
    """

    def __init__(self, sources: Sequence[Supply], seed: int, replace: bool):
        self.sources = list(sources)
        self.seed = seed
        self.replace = replace
        self.sizes = [len(source) for source in self.sources]
        self._first = np.cumsum([0, *self.sizes])

    def __len__(self) -> int:
        """Number of samples, bad ones included."""
        return sum(self.sizes)

    @abstractmethod
    def read(self, source: Supply, index: int, rng: Random) -> Sample:
        """One sample.

        Raises:
            BadSampleError: The sample is bad; the message says why.
        """

    def location(self, row: int) -> str:
        """Origin of a sample."""
        which = self._which(row)
        return printable(self.sources[which].location(row - int(self._first[which])))

    def draw(self, draw: int, tries: int = TRIES) -> tuple[Sample | None, int, BadSample | None]:
        """Draw a sample; returns it, its id, and the first bad sample met, if any.

        A bad sample is replaced by a random one of its source, not by the next one, since
        bad samples are often adjacent; if no sound one is found, the result is None with the id -1.

        Args:
            draw: Id from `Draws`, or the index of a sample.
            tries: Maximum number of samples that are read.
        """
        turn, number = divmod(draw, len(self))
        which = self._which(number)
        source, first = self.sources[which], int(self._first[which])
        rng = Random(f"{self.seed}/{turn}/{number}")
        index, bad = number - first, None
        for _ in range(tries):
            found = attempt(source.location(index), self.read, source, index, rng)
            if not isinstance(found, BadSample):
                return found, first + index, bad
            bad = bad or found
            index = rng.randrange(self.sizes[which])
        return None, -1, bad

    @abstractmethod
    def batch(self, ids: np.ndarray, num_real: int) -> Batch:
        """One batch; it lists its bad samples under `bad_samples`."""

    def _which(self, row: int) -> int:
        return int(np.searchsorted(self._first, row, side="right")) - 1


class MixtureData(ResumableData, Generic[Supply, Sample]):
    """Base of datamodules of such samples: sources by stage, mixture and tally of bad samples.

    A subclass builds the items of a stage in `open` and counts those of a batch in `num_drawn`.
    """

    version: ClassVar[int]
    """Increased whenever the processing of a sample changes."""
    unit: ClassVar[str]
    """Name of the samples, in the plural."""

    def __init__(
        self,
        sources: dict[Stage, list[Supply]],
        batch_size: int,
        eval_batch_size: int | None,
        num_workers: int,
        seed: int,
        max_bad_rate: float,
    ):
        super().__init__()
        self.sources = sources
        self.batch_size = batch_size
        self.eval_batch_size = batch_size if eval_batch_size is None else eval_batch_size
        self.num_workers = num_workers
        self.seed = seed
        self.max_bad_rate = max_bad_rate
        self._items: dict[Stage, SourceItems[Supply, Sample]] = {}
        self._tallies: dict[Stage, SampleTally] = {}
        self._counts: dict[str, int] | None = None

    @abstractmethod
    def open(self, stage: Stage) -> SourceItems[Supply, Sample]:
        """The samples of a stage."""

    @abstractmethod
    def num_drawn(self, batch: Batch, stage: Stage, num_bad: int) -> int | None:
        """Samples drawn for a batch, bad ones included; None if none of them is from a source."""

    @abstractmethod
    def num_sound(self, batch: Batch) -> int:
        """Sound samples in a batch."""

    @property
    @abstractmethod
    def form(self) -> list[object]:
        """Options that determine the processing of a sample; ready for JSON."""

    def fingerprint(self, stage: Stage) -> str:
        """A text that changes whenever the samples of a stage may have changed."""
        sources = [source.fingerprint() for source in self.sources[stage]]
        return json.dumps([type(self).__name__, self.version, sources, self.form])

    def stages(self, command: str) -> tuple[Stage, ...]:
        """Stages whose sources a command of the trainer reads."""
        return STAGES[command]

    def prepare_data(self) -> None:
        """Create the caches that this command reads; Lightning calls it on one process per node."""
        command = None if self.trainer is None else self.trainer.state.fn
        for stage in self.stages("fit" if command is None else command.value):
            for source in self.sources[stage]:
                source.prepare()

    def setup(self, stage: str) -> None:
        """Open the sources and print the training mixture."""
        folder = self.bad_samples_folder()
        rank = self.replica()[0]
        for part in self.stages(stage):
            if self.sources[part] and part not in self._items:
                items = self._items[part] = self.open(part)
                name = f"bad_samples{f'.{rank}' if rank else ''}.jsonl"
                file = None if folder is None else folder / name
                tries = TRIES if items.replace else 1
                self._tallies[part] = SampleTally(part, len(items), self.max_bad_rate, file, tries)
        if stage == "fit":
            self._describe()

    def train_dataloader(self) -> ResumableLoader:
        """The endless stream of training samples."""
        items = self._items["train"]
        if self._counts is not None:
            self._tallies["train"].load_state_dict(self._counts)
            self._counts = None
        weights = [source.weight for source in self.sources["train"]]
        passes = [source.order for source in self.sources["train"]]
        order = Draws(Mixture(items.sizes, weights, self.seed, passes))
        return self.training_loader(items, order, self.batch_size, self.num_workers)

    def val_dataloader(self) -> EvaluationLoader | list[EvaluationLoader]:
        """Every validation sample once; an empty list if there is none."""
        return self.once("validate") if self.sources["validate"] else []

    def test_dataloader(self) -> EvaluationLoader:
        """Every test sample once.

        Raises:
            ValueError: There is none.
        """
        return self.once("test")

    def once(self, stage: Stage, limit: int | None = None) -> EvaluationLoader:
        """Every sample of a stage once, or only the first ones.

        Raises:
            ValueError: There is none.
        """
        if not self.sources[stage]:
            raise ValueError(
                f"there are no {stage} {self.unit}: give data.init_args.{stage} a source."
            )
        items = self._items[stage]
        num = len(items) if limit is None else min(limit, len(items))
        return self.evaluation_loader(items, num, self.eval_batch_size, self.num_workers)

    @override
    def on_before_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        """Remove the list of bad samples from the batch and count them."""
        bad_samples = cast(list[BadSample], batch.pop("bad_samples", []))
        stage = self._stage()
        if stage in self._tallies:
            num = self.num_drawn(batch, stage, len(bad_samples))
            if num is not None:
                self._tallies[stage].note(num, bad_samples, self.num_sound(batch))
        return batch

    @override
    def state_dict(self) -> dict[str, dict[str, int]]:
        counts = self._tallies["train"].state_dict() if "train" in self._tallies else None
        return super().state_dict() | ({"samples": counts} if counts else {})

    @override
    def load_state_dict(self, state_dict: dict[str, dict[str, int]]) -> None:
        super().load_state_dict(state_dict)
        self._counts = state_dict.get("samples")

    def _stage(self) -> Stage:
        if self.trainer is None or self.trainer.training:
            return "train"
        return "test" if self.trainer.testing or self.trainer.predicting else "validate"

    def _describe(self) -> None:
        """Print size and share of every training source."""
        items, weights = self._items["train"], [s.weight for s in self.sources["train"]]
        draws = Mixture(items.sizes, weights).draws
        names = distinct([source.name for source in self.sources["train"]])
        for name, size, drawn in zip(names, items.sizes, draws, strict=True):
            share = drawn / sum(draws)
            rank_zero_only(print)(f"{name}: {size:,} {self.unit}; share {share:.1%}")
