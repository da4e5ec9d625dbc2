"""Counting of good and bad documents: a bad one is named and skipped, too many stop the run."""

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field

from lightning.pytorch.utilities.rank_zero import rank_zero_warn

from datamodules.documents import Document, Reject

NUM_SHOWN = 20
"""Bad documents named in a message."""
NUM_LISTED = 1000
"""Bad documents named in the metadata of a token file."""
NUM_SURE = 1000
"""Documents after which a share of twice the allowed one stops the reading at once."""


@dataclass
class Census:
    """How many documents of a source were good and which were bad.

    Attributes:
        good: Number of usable documents.
        bad: Number of skipped documents.
        examples: Origin and reason of the first bad ones, at most `NUM_LISTED`.
    """

    good: int = 0
    bad: int = 0
    examples: list[str] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Share of bad documents, 0 where there are none at all."""
        return self.bad / max(1, self.good + self.bad)

    def sift(
        self, documents: Iterable[Document | Reject], max_bad_rate: float, name: str
    ) -> Iterator[Document]:
        """Pass the good documents on and count both kinds.

        Args:
            documents: What a source delivers.
            max_bad_rate: Highest share of bad documents, in [0, 1].
            name: Name of the source, for messages.

        Yields:
            The good documents, in order.

        Raises:
            ValueError: Too many are bad, or there is no good one.
        """
        for document in documents:
            if isinstance(document, Document):
                self.good += 1
                yield document
            else:
                self._reject(document, max_bad_rate, name)
        self.check(max_bad_rate, name)

    def check(self, max_bad_rate: float, name: str) -> None:
        """Warn about bad documents; stop if there are too many, or no good one.

        Raises:
            ValueError: The share of bad documents exceeds `max_bad_rate`, or none is good.
        """
        if self.rate > max_bad_rate:
            raise ValueError(f"{self.describe(name)} More than {max_bad_rate:.2%} stops the run.")
        if not self.good:
            raise ValueError(f"{name} holds no document.")
        if self.bad:
            rank_zero_warn(f"{self.describe(name)} They are skipped.")

    def describe(self, name: str) -> str:
        """Counts and the first bad documents, in one sentence or two."""
        shown = "; ".join(self.examples[:NUM_SHOWN])
        total = self.good + self.bad
        return f"{name}: {self.bad} of {total} documents are bad ({self.rate:.2%}): {shown}."

    def as_dict(self) -> dict[str, object]:
        """The counts and the list, ready for JSON."""
        return asdict(self)

    def _reject(self, document: Reject, max_bad_rate: float, name: str) -> None:
        self.bad += 1
        if len(self.examples) < NUM_LISTED:
            self.examples.append(f"{document.origin} ({document.reason})")
        if self.good + self.bad >= NUM_SURE and self.rate > 2 * max_bad_rate:
            self.check(max_bad_rate, name)
