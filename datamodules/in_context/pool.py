"""A pool of pretraining documents, each known by its id, as packed rows in any choice and order.

Shape legend: B = rows of a batch, L = row length, N = documents of a batch, paddings included.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from datamodules.records.document import BadSample, Document
from datamodules.stream.loader import Batch
from datamodules.text.packing import best_fit
from datamodules.text.rows import IGNORE
from datamodules.text.source import TextSource
from datamodules.text.token_cache import tokenised
from datamodules.text.token_file import TokenFile
from datamodules.text.tokenizer import TextTokenizer


class DocumentPool:
    """Tokenised documents of several sources, one after another.

    A batch of rows has the keys of `datamodules.text.datamodule`, and `document_N`: the index of
    each document, -1 for the padding at a row's end.

    Args:
        sources: The documents; weights do not count.
        tokenizer: Makes tokens of them.
        cache: Folder of tokenised text.
        row_length: Tokens of a row; longer documents are refused.
        max_bad_rate: Share of unusable documents in a source above which reading stops.

    Raises:
        ValueError: A document is longer than a row, or two have the same id.
    """

    def __init__(
        self,
        sources: Sequence[TextSource],
        tokenizer: TextTokenizer,
        cache: Path,
        row_length: int,
        max_bad_rate: float,
    ):
        self.row_length = row_length
        self.files = [tokenised(one, tokenizer, cache, max_bad_rate) for one in sources]
        self.documents: list[Document] = []
        self.sources: list[str] = []
        for source, file in zip(sources, self.files, strict=True):
            self.documents += documents_of(source, tokenizer, file)
            self.sources += [source.name] * len(file.lengths)
        self.ids = [one.origin for one in self.documents]
        self._check()

    @property
    def fingerprint(self) -> str:
        """Changes with any token and any id."""
        facts = [self.ids, *(one.meta["source_fingerprint"] for one in self.files)]
        names = [one.meta["tokenizer_fingerprint"] for one in self.files]
        return hashlib.sha256(json.dumps([facts, names]).encode()).hexdigest()[:16]

    @cached_property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens of each document, int64."""
        return np.concatenate([one.lengths for one in self.files])

    def text(self, index: int) -> str:
        """The text of a document."""
        return self.documents[index].text

    def rows(self, documents: Sequence[int], are_packed: bool = True) -> list[list[int]]:
        """Some documents as rows: short ones share a row, if they are packed.

        Args:
            documents: Their indices.
            are_packed: Whether a row may hold several.
        """
        if not are_packed:
            return [[one] for one in documents]
        chosen = np.array(documents, np.int64)
        packed = best_fit(self.lengths[chosen], self.row_length)
        ends = packed.row_start.tolist()
        order = chosen[packed.document].tolist()
        return [order[a:b] for a, b in pairwise(ends)]

    def batch(self, rows: Sequence[Sequence[int]]) -> Batch:
        """A batch of rows, as long as the longest of them needs.

        Args:
            rows: Indices of the documents of each row.
        """
        longest = max(int(self.lengths[list(row)].sum()) for row in rows)
        token_BL = np.zeros((len(rows), longest), np.int64)
        label_BL, position_BL = np.full_like(token_BL, IGNORE), np.zeros_like(token_BL)
        length_N: list[int] = []
        document_N: list[int] = []
        for b, row in enumerate(rows):
            at = 0
            for one in row:
                tokens = self.tokens(one)
                end = at + len(tokens)
                token_BL[b, at:end], position_BL[b, at:end] = tokens, np.arange(len(tokens))
                label_BL[b, at : end - 1] = tokens[1:]
                at = end
                length_N.append(len(tokens))
                document_N.append(one)
            if at < longest:
                position_BL[b, at:] = np.arange(longest - at)
                length_N.append(longest - at)
                document_N.append(-1)
        return {
            "token_BL": torch.from_numpy(token_BL),
            "label_BL": torch.from_numpy(label_BL),
            "position_BL": torch.from_numpy(position_BL),
            "length_N": length_N,
            "document_N": document_N,
        }

    def tokens(self, index: int) -> NDArray[np.int64]:
        """Token ids of a document, its start and its end included."""
        file, within = self._place(index)
        return file.tokens[file.offsets[within] : file.offsets[within + 1]].astype(np.int64)

    def _place(self, index: int) -> tuple[TokenFile, int]:
        for file in self.files:
            if index < len(file.lengths):
                return file, index
            index -= len(file.lengths)
        raise IndexError(index)

    def _check(self) -> None:
        if (self.lengths > self.row_length).any():
            first = int(np.argmax(self.lengths > self.row_length))
            raise ValueError(
                f"{self.ids[first]} has {self.lengths[first]} tokens, but a row of the pool holds "
                f"{self.row_length}. Make row_length larger, or split the documents of the source."
            )
        if len(set(self.ids)) < len(self.ids):
            twice = next(one for one in self.ids if self.ids.count(one) > 1)
            raise ValueError(f"the pool has the document {twice} twice; give a source once.")


def documents_of(
    source: TextSource, tokenizer: TextTokenizer, file: TokenFile
) -> Iterator[Document]:
    """The documents of a source that are in its token file, in its order."""
    good = [one for one in source.documents() if isinstance(one, Document)]
    if len(good) == len(file.lengths):
        yield from good
        return
    made = tokenizer.encode_documents(good)  # it could not take some of them
    yield from (one for one, ids in zip(good, made, strict=True) if not isinstance(ids, BadSample))
