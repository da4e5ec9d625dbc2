"""Counts samples that cannot be used and lists them in a file; too many stop the run."""

from collections.abc import Sequence
from pathlib import Path

from lightning.pytorch.utilities.rank_zero import rank_zero_warn

from datamodules.records.document import BadSample
from engine.disk.jsonl import append

NUM_SURE = 1000
"""Samples after which the share of bad ones is checked; a smaller set is checked as a whole."""


class SampleTally:
    """Counts of the samples of a stage that were drawn, sound and bad.

    Args:
        stage: Name of the stage, for messages.
        num_items: Number of samples in the stage.
        max_bad_rate: Highest share of bad samples, in [0, 1].
        file: File that lists bad samples, one JSON object per line; None for no list.
        tries: Samples read for a draw that found no sound one.
    """

    def __init__(
        self,
        stage: str,
        num_items: int,
        max_bad_rate: float,
        file: Path | None = None,
        tries: int = 1,
    ):
        self.tries = tries
        self.stage = stage
        self.max_bad_rate = max_bad_rate
        self.file = file
        self.drawn = 0
        self.bad = 0
        self.sound = 0
        self._least = max(1, min(NUM_SURE, num_items))
        self._listed: set[str] = set()

    def note(
        self, num_drawn: int, bad_samples: Sequence[BadSample], num_sound: int | None = None
    ) -> None:
        """Count samples, and list the bad ones among them that are not listed yet.

        Args:
            num_drawn: Samples drawn, good and bad.
            bad_samples: The bad ones.
            num_sound: Sound samples, substitutes for bad ones included; None if bad ones
                are not replaced.

        Raises:
            ValueError: More than `max_bad_rate` of all samples drawn so far are bad, or none is
                sound.
        """
        self.drawn += num_drawn
        self.bad += len(bad_samples)
        self.sound += num_drawn - len(bad_samples) if num_sound is None else num_sound
        for bad in bad_samples:
            if bad.origin not in self._listed:
                self._list(bad)
        if bad_samples and self.bad > self.max_bad_rate * max(self.drawn, self._least):
            raise ValueError(self._describe(bad_samples[-1]))
        if bad_samples and not self.sound and self.bad * self.tries >= self._least:
            last = bad_samples[-1]
            raise ValueError(
                f"no sample of {self.stage} is sound{self._where()}; the last one is {last.origin} "
                f"({last.reason})."
            )

    def state_dict(self) -> dict[str, int]:
        """The counts."""
        return {"drawn": self.drawn, "bad": self.bad}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Continue the counts of an earlier run."""
        self.drawn, self.bad = state["drawn"], state["bad"]
        self.sound = self.drawn

    def _list(self, bad: BadSample) -> None:
        first = not self._listed
        self._listed.add(bad.origin)
        if self.file is not None:
            row = {"stage": self.stage, "origin": bad.origin, "reason": bad.reason}
            append(self.file, [row])
        if first:
            rank_zero_warn(
                f"{bad.origin} cannot be used: {bad.reason}. It is skipped, and so are others"
                f" like it{self._where()}."
            )

    def _describe(self, last: BadSample) -> str:
        return (
            f"{self.bad} of {self.drawn} samples of {self.stage} are bad, more than "
            f"max_bad_rate={self.max_bad_rate:.2%} allows{self._where()}; "
            f"the last one is {last.origin} ({last.reason})."
        )

    def _where(self) -> str:
        return "" if self.file is None else f" (listed in {self.file})"
