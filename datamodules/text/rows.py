"""Rows of token ids: packed ones as batches, and texts padded on the right.

Shape legend: B = rows of a batch, L = row length, N = pieces of a batch, paddings included,
P = pieces of a source.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from datamodules.stream.loader import Batch
from datamodules.text.packing import Rows
from datamodules.text.token_file import TokenFile

IGNORE = -100
"""Label of a position without a target."""


@dataclass
class PackedSource:
    """The pieces of one source, row after row.

    Attributes:
        file: Where the tokens are.
        row_start: First piece of each row, and P at the end, int64 [R + 1].
        begin: First token of each piece in the file, int64 [P].
        length: Tokens of each piece, int64 [P].
        num_bytes: UTF-8 bytes of the targets of each piece, float64 [P].
    """

    file: TokenFile
    row_start: NDArray[np.int64]
    begin: NDArray[np.int64]
    length: NDArray[np.int64]
    num_bytes: NDArray[np.float64]

    @classmethod
    def from_rows(cls, file: TokenFile, rows: Rows) -> "PackedSource":
        """Locate the pieces in the file; the bytes of a split document follow its targets."""
        length = rows.stop - rows.start
        begin = file.offsets[rows.document] + rows.start
        first, last = file.offsets[:-1], file.offsets[1:]
        of_document = np.maximum(1, targets_within(file, first, last))[rows.document]
        of_piece = targets_within(file, begin, begin + length)
        num_bytes = file.num_bytes[rows.document] * of_piece / of_document
        return cls(file, rows.row_start, begin, length, num_bytes)

    def row_bytes(self, row: int) -> float:
        """UTF-8 bytes of the targets of one row."""
        return float(self.num_bytes[self.row_start[row] : self.row_start[row + 1]].sum())

    def row_tokens(self, row: int) -> int:
        """Tokens of one row, without padding."""
        return int(self.length[self.row_start[row] : self.row_start[row + 1]].sum())


def targets_within(
    file: TokenFile, begin: NDArray[np.int64], end: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Number of targets in each run of tokens; the first token of a run is never a target.

    Args:
        file: Where the tokens are.
        begin: First token of each run.
        end: One past its last token; above `begin`.
    """
    if file.is_target is None:
        return end - begin - 1
    before = np.concatenate([[0], np.cumsum(file.is_target, dtype=np.int64)])
    return before[end] - before[begin + 1]


class TextRows:
    """The rows of all sources as one sequence; `datamodules.text.datamodule` documents the batch.

    Args:
        sources: The packed sources; ids of rows continue from one to the next.
        row_length: Positions of a row, L.
    """

    def __init__(self, sources: Sequence[PackedSource], row_length: int):
        self.sources = list(sources)
        self.row_length = row_length
        self.sizes = [len(source.row_start) - 1 for source in self.sources]
        self._first_row = np.cumsum([0, *self.sizes])

    def __len__(self) -> int:
        """Number of rows."""
        return sum(self.sizes)

    def batch(self, ids: NDArray[np.int64], num_real: int) -> Batch:
        """One batch; rows from `num_real` on only fill it: they have no targets and the id -1."""
        return self.laid(ids, np.arange(len(ids)) < num_real, self.row_length)

    def laid(self, ids: NDArray[np.int64], is_real_B: NDArray[np.bool_], width: int) -> Batch:
        """One batch of rows of another width, which all their pieces must fit.

        Args:
            ids: Which rows.
            is_real_B: False for rows that only fill the batch.
            width: Positions of a row, L.
        """
        source_B = np.searchsorted(self._first_row, ids, side="right") - 1
        row_B = ids - self._first_row[source_B]
        token_BL = np.zeros((len(ids), width), np.int64)
        label_BL = np.full_like(token_BL, IGNORE)
        length_N: list[int] = []
        num_bytes = 0.0
        for b, (source, row) in enumerate(zip(source_B.tolist(), row_B.tolist(), strict=True)):
            lengths = _write(self.sources[source], row, token_BL[b], label_BL[b])
            length_N += lengths
            num_bytes += self.sources[source].row_bytes(row) if is_real_B[b] else 0.0
        label_BL[~is_real_B] = IGNORE
        return {
            "token_BL": torch.from_numpy(token_BL),
            "label_BL": torch.from_numpy(label_BL),
            "position_BL": torch.from_numpy(_positions(length_N).reshape(token_BL.shape)),
            "length_N": length_N,
            "num_targets": int(np.count_nonzero(label_BL != IGNORE)),
            "num_bytes": num_bytes,
            "row_B": np.where(is_real_B, ids, -1).tolist(),
            "source_B": source_B.tolist(),
        }

    def tokens_of(self, ids: NDArray[np.int64]) -> NDArray[np.int64]:
        """Tokens of each row, without padding, int64 [B]."""
        source_B = np.searchsorted(self._first_row, ids, side="right") - 1
        pairs = zip(source_B.tolist(), (ids - self._first_row[source_B]).tolist(), strict=True)
        return np.array([self.sources[source].row_tokens(row) for source, row in pairs])


def _write(
    source: PackedSource, row: int, token_L: NDArray[np.int64], label_L: NDArray[np.int64]
) -> list[int]:
    """Write one row in place; the lengths of its pieces and of its padding."""
    first, last = source.row_start[row], source.row_start[row + 1]
    lengths: list[int] = source.length[first:last].tolist()
    tokens, is_target = source.file.tokens, source.file.is_target
    at = 0
    for begin, length in zip(source.begin[first:last].tolist(), lengths, strict=True):
        end = at + length
        token_L[at:end] = tokens[begin : begin + length]
        label_L[at : end - 1] = token_L[at + 1 : end]
        if is_target is not None:
            label_L[at : end - 1][is_target[begin + 1 : begin + length] == 0] = IGNORE
        at = end
    return lengths + [len(token_L) - at] * (at < len(token_L))


def _positions(length_N: list[int]) -> NDArray[np.int64]:
    """Positions 0, 1, 2, ... of each piece, concatenated."""
    lengths = np.array(length_N)
    starts = np.cumsum(lengths) - lengths
    return np.arange(lengths.sum()) - np.repeat(starts, lengths)


def padded(
    texts: Sequence[NDArray[np.int64]], pad: int, length: int | None = None
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Texts as rows, padded on the right, and the mask of real tokens, both [B, L].

    Args:
        texts: Token ids of each text.
        pad: Id of the padding.
        length: Length of the rows; None takes that of the longest text, 0 without texts.
    """
    longest = max(map(len, texts), default=0) if length is None else length
    token_BL = np.full((len(texts), longest), pad, np.int64)
    mask_BL = np.zeros(token_BL.shape, bool)
    for b, text in enumerate(texts):
        token_BL[b, : len(text)] = text
        mask_BL[b, : len(text)] = True
    return token_BL, mask_BL
