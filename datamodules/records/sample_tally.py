"""Samples that cannot be used: counted, listed in a file, and too many of them stop the run."""

import json
from collections.abc import Sequence
from pathlib import Path

from lightning.pytorch.utilities.rank_zero import rank_zero_warn

from datamodules.records.document import BadSample

NUM_SURE = 1000
"""Samples after which a share of bad ones says something; a smaller set is judged as a whole."""


class SampleTally:
    """How many samples of a stage were drawn and how many of them were bad.

    Args:
        stage: Name of the stage, for messages.
        num_items: Number of samples there are.
        max_bad_rate: Highest share of bad samples, in [0, 1].
        file: Where bad samples are listed, one JSON object a line; None lists them nowhere.
        tries: Samples that were read for each draw that found none.
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
            num_sound: Samples that were found, those in bad ones' places included; None where
                nothing takes a bad one's place.

        Raises:
            ValueError: More than `max_bad_rate` of all samples drawn so far are bad, or there is no
                sound one.
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
        """Count on from those of an earlier run."""
        self.drawn, self.bad = state["drawn"], state["bad"]
        self.sound = self.drawn

    def _list(self, bad: BadSample) -> None:
        first = not self._listed
        self._listed.add(bad.origin)
        if self.file is not None:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            row = {"stage": self.stage, "origin": bad.origin, "reason": bad.reason}
            with self.file.open("a", encoding="utf-8", errors="backslashreplace") as file:
                file.write(json.dumps(row, ensure_ascii=False) + "\n")
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
