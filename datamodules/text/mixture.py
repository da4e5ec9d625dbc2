"""Size and share of each source of a mixture."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from datamodules.text.packing import Rows
from datamodules.text.rows import TextRows


@dataclass(frozen=True)
class Share:
    """One source of a mixture.

    Attributes:
        documents: Number of documents.
        tokens: Number of tokens in its rows.
        rows: Number of rows.
        fill: Share of the positions of its rows that are tokens, not padding.
        dropped: Documents that were dropped because they are longer than a row.
        lost: Targets lost because a document was split there.
        asked: Its weight as a share of all weights.
        realised: Share of the training tokens that come from this source.
    """

    documents: int
    tokens: int
    rows: int
    fill: float
    dropped: int
    lost: int
    asked: float
    realised: float

    def describe(self, name: str) -> str:
        """The description in one line."""
        return (
            f"{name}: {self.documents:,} documents, {self.tokens:,} tokens, {self.rows:,} rows, "
            f"{self.fill:.1%} filled; {self.dropped:,} documents dropped, {self.lost:,} targets "
            f"lost to cuts; share asked {self.asked:.1%}, realised {self.realised:.1%}"
        )


def shares(
    rows: TextRows, packed: Sequence[Rows], weights: Sequence[float], draws: Sequence[int]
) -> list[Share]:
    """Describe every source of a mixture.

    Args:
        rows: The rows of all sources.
        packed: The same, source by source.
        weights: Weight of each source.
        draws: Rows of each source in an epoch.

    Returns:
        One description per source, in the same order.
    """
    largest = max(weights)  # the sum of two very large weights is infinite
    asked = [weight / largest / sum(w / largest for w in weights) for weight in weights]
    given = np.array([d * p.num_tokens / p.num_rows for d, p in zip(draws, packed, strict=True)])
    realised = given / given.sum()
    return [
        Share(
            documents=len(source.file.num_bytes),
            tokens=part.num_tokens,
            rows=part.num_rows,
            fill=part.fill(rows.row_length),
            dropped=part.num_dropped,
            lost=len(part.document) - len(source.file.num_bytes) + part.num_dropped,
            asked=wanted,
            realised=float(share),
        )
        for source, part, wanted, share in zip(rows.sources, packed, asked, realised, strict=True)
    ]
