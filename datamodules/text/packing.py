"""Packing of documents into rows of one length; numpy only.

A piece is a run of tokens of one document. Shape legend: P = pieces, R = rows.
"""

from bisect import bisect_left, insort
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

LongDocuments = Literal["error", "split", "drop"]


@dataclass(frozen=True)
class Rows:
    """The pieces of each row, in order.

    Attributes:
        document: Document of each piece, int64 [P].
        start: First token of each piece within its document, int64 [P].
        stop: One past its last token, int64 [P].
        row_start: First piece of each row, and P at the end, int64 [R + 1].
        num_dropped: Documents that were dropped because they are longer than a row.
    """

    document: NDArray[np.int64]
    start: NDArray[np.int64]
    stop: NDArray[np.int64]
    row_start: NDArray[np.int64]
    num_dropped: int = 0

    @property
    def num_rows(self) -> int:
        """Number of rows."""
        return len(self.row_start) - 1

    @property
    def num_tokens(self) -> int:
        """Tokens in all rows, without padding."""
        return int((self.stop - self.start).sum())

    def fill(self, row_length: int) -> float:
        """Share of the positions that are tokens, in [0, 1]."""
        return self.num_tokens / max(1, self.num_rows * row_length)


def concatenate(lengths: NDArray[np.int64], row_length: int) -> Rows:
    """Concatenate the documents and split after every `row_length` tokens.

    A document may be split; its rest continues in the next row as a new piece.

    Args:
        lengths: Tokens of each document.
        row_length: Tokens of a row.

    Returns:
        Rows that are all full except the last one.
    """
    offsets = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
    cuts = np.union1d(offsets, np.arange(0, offsets[-1], row_length))
    begin, end = cuts[:-1], cuts[1:]
    document = np.searchsorted(offsets, begin, side="right") - 1
    num_rows = -(-int(offsets[-1]) // row_length)
    row_start = np.searchsorted(begin, row_length * np.arange(num_rows + 1))
    return Rows(document, begin - offsets[document], end - offsets[document], row_start)


def best_fit(
    lengths: NDArray[np.int64], row_length: int, long_documents: LongDocuments = "error"
) -> Rows:
    """Best-fit decreasing: longest first, each into the fullest row that still has room.

    No document is split unless it is longer than a row and `long_documents` is "split".

    Args:
        lengths: Tokens of each document.
        row_length: Tokens of a row.
        long_documents: Handling of a document longer than a row.

    Returns:
        Rows in which documents keep the order of their indices.

    Raises:
        ValueError: A document is longer than a row and `long_documents` is "error".
    """
    is_long = lengths > row_length
    if long_documents == "error" and is_long.any():
        first = int(np.argmax(is_long))
        raise ValueError(explain_long(f"document {first}", int(lengths[first]), row_length))
    dropped = is_long if long_documents == "drop" else np.zeros_like(is_long)
    document, start, stop = _cut(np.where(dropped, 0, lengths), row_length)
    row = _assign(stop - start, row_length)
    order = np.argsort(row, kind="stable")
    counts = np.bincount(row, minlength=1) if len(row) else np.zeros(0, np.int64)
    row_start = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])
    return Rows(document[order], start[order], stop[order], row_start, int(dropped.sum()))


def explain_long(document: str, length: int, row_length: int) -> str:
    """The message about a document that is longer than a row, with the options to change."""
    return (
        f"{document} has {length} tokens, but a row holds {row_length}. "
        f"Make row_length at least {length}, or set long_documents to split or drop, "
        "or set packing to concatenate."
    )


def _cut(lengths: NDArray[np.int64], row_length: int) -> tuple[NDArray[np.int64], ...]:
    """Document, start and stop of pieces no longer than a row; empty documents have none."""
    num_pieces = -(-lengths // row_length)
    document = np.repeat(np.arange(len(lengths)), num_pieces)
    before = np.cumsum(num_pieces) - num_pieces
    start = (np.arange(len(document)) - before[document]) * row_length
    return document, start, np.minimum(start + row_length, lengths[document])


def _assign(lengths: NDArray[np.int64], row_length: int) -> NDArray[np.int64]:
    """The row of each piece under best-fit decreasing.

    Pieces of equal length are placed together: a row with room for k of them takes k. So the work
    grows with the number of distinct lengths and not with the number of pieces.
    """
    row = np.empty(len(lengths), np.int64)
    order = np.argsort(-lengths, kind="stable")
    values, counts = np.unique(lengths, return_counts=True)
    shelves = _Shelves(row_length)
    done = 0
    for length, count in zip(values[::-1].tolist(), counts[::-1].tolist(), strict=True):
        end = done + count
        while done < end:
            rows, fits = shelves.take(length, end - done)
            placed = min(len(rows) * fits, end - done)
            row[order[done : done + placed]] = np.repeat(rows, fits)[:placed]
            shelves.put_back(rows, length, fits, placed)
            done += placed
    return row


class _Shelves:
    """Open rows, sorted by their remaining room."""

    def __init__(self, row_length: int):
        self.row_length = row_length
        self.num_rows = 0
        self.room = 0
        self.capacities: list[int] = []
        self.stacks: dict[int, list[NDArray[np.int64]]] = {}

    def take(self, length: int, count: int) -> tuple[NDArray[np.int64], int]:
        """Rows of the smallest sufficient room for up to `count` pieces; how many each takes."""
        place = bisect_left(self.capacities, length)
        is_new = place == len(self.capacities)
        self.room = self.row_length if is_new else self.capacities[place]
        fits = self.room // length
        needed = -(-count // fits)
        if is_new:
            self.num_rows += needed
            return np.arange(self.num_rows - needed, self.num_rows), fits
        stack = self.stacks[self.room]
        rows = stack.pop()
        if len(rows) > needed:
            stack.append(rows[needed:])
        elif not stack:
            self.capacities.pop(place)
        return rows[:needed], fits

    def put_back(self, rows: NDArray[np.int64], length: int, fits: int, placed: int) -> None:
        """Return the rows just taken; only the last one may have fewer than `fits` pieces."""
        last = placed - (len(rows) - 1) * fits
        self._store(rows[:-1], self.room - fits * length)
        self._store(rows[-1:], self.room - last * length)

    def _store(self, rows: NDArray[np.int64], room: int) -> None:
        if len(rows) == 0 or room == 0:
            return
        stack = self.stacks.setdefault(room, [])
        if not stack:
            insort(self.capacities, room)
        stack.append(rows)
