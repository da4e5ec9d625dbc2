"""Counts good and bad documents: bad ones are listed and skipped, too many stop the run.

Blank rows are neither; they are counted separately. So are unreadable files, since it is
unknown how many documents they contain: more than `BAD_FILES` of a source stop the run.
"""

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from typing import TypeVar

from lightning.pytorch.utilities.rank_zero import rank_zero_warn

from datamodules.records.document import BadFile, BadSample, Blank

Sample = TypeVar("Sample")
NUM_SHOWN = 20
"""Bad documents named in a message."""
NUM_LISTED = 1000
"""Bad documents named in the metadata of a token file."""
BAD_FILES = 1 / 3
"""Allowed share of unreadable files of a source, or `max_bad_rate` if that is higher."""
NUM_SURE = 1000
"""Documents after which twice the allowed share stops reading at once."""


@dataclass
class RowTally:
    """Counts of the good and bad documents of a source.

    Attributes:
        good: Number of usable documents.
        bad: Number of skipped documents.
        examples: Origin and reason of the first bad ones and bad files, at most `NUM_LISTED`.
        blank: Number of rows without a text.
        bad_files: Number of files that could not be read completely.
        empty_files: Number of empty files.
        files: Number of files; known only if one of them is bad.
    """

    good: int = 0
    bad: int = 0
    examples: list[str] = field(default_factory=list)
    blank: int = 0
    bad_files: int = 0
    empty_files: int = 0
    files: int = 0

    @property
    def rate(self) -> float:
        """Share of bad documents, 0 if there are no documents."""
        return self.bad / max(1, self.good + self.bad)

    def sift(
        self,
        documents: Iterable[Sample | BadSample],
        max_bad_rate: float,
        name: str,
        limit: int | None = None,
    ) -> Iterator[Sample]:
        """Yield the good documents and count all kinds.

        Args:
            documents: Documents of a source, or samples made from them.
            max_bad_rate: Highest share of bad documents, in [0, 1].
            name: Name of the source, for messages.
            limit: Number of good documents after which it stops; None for all.

        Yields:
            The good documents, in order.

        Raises:
            ValueError: Too many documents or files are bad, or no document is good.
        """
        for document in documents:
            if isinstance(document, BadSample):
                self._count_bad(document, max_bad_rate, name)
            else:
                self.good += 1
                yield document
                if self.good == limit:
                    break
        self.check(max_bad_rate, name)

    def check(self, max_bad_rate: float, name: str) -> None:
        """Warn about bad documents and files; stop if there are too many, or no good document.

        Raises:
            ValueError: The share of bad documents exceeds `max_bad_rate`, that of bad files the
                allowed one, or no document is good.
        """
        if self.rate > max_bad_rate:
            raise ValueError(f"{self.describe(name)} More than {max_bad_rate:.2%} stops the run.")
        allowed = max(BAD_FILES, max_bad_rate)
        if self.bad_files > allowed * self.files:
            raise ValueError(f"{self.describe(name)} More than {allowed:.0%} stops the run.")
        if not self.good:
            told = f" {self.describe(name)}" if self.examples or self.blank else ""
            raise ValueError(f"{name} holds no document.{told}")
        if self.examples or self.blank:
            rank_zero_warn(f"{self.describe(name)} They are skipped.")

    def describe(self, name: str) -> str:
        """Counts and the first bad documents and files, in one sentence or two."""
        counts = {
            f"of {self.good + self.bad} documents are bad ({self.rate:.2%})": self.bad,
            f"of {self.files} files cannot be read": self.bad_files,
            f"of {self.files} files are empty": self.empty_files,
            "rows are blank": self.blank,
        }
        told = ", ".join(f"{count} {what}" for what, count in counts.items() if count)
        shown = "; ".join(self.examples[:NUM_SHOWN])
        return f"{name}: {told}{': ' if shown else ''}{shown}."

    def as_dict(self) -> dict[str, object]:
        """The counts and the list, ready for JSON."""
        return asdict(self)

    def _count_bad(self, document: BadSample, max_bad_rate: float, name: str) -> None:
        if isinstance(document, Blank):
            self.blank += 1
            return
        if len(self.examples) < NUM_LISTED:
            self.examples.append(f"{document.origin} ({document.reason})")
        if isinstance(document, BadFile):
            self.files = document.num_files
            self.bad_files += not document.is_empty
            self.empty_files += document.is_empty
            return
        self.bad += 1
        if self.good + self.bad >= NUM_SURE and self.rate > 2 * max_bad_rate:
            self.check(max_bad_rate, name)
