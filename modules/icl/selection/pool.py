"""What selection needs of data: documents as packed rows, and the questions of a task."""

from collections.abc import Mapping, Sequence
from typing import Protocol, TypedDict, runtime_checkable

from torch import Tensor


class PoolBatch(TypedDict):
    """Packed rows whose documents are known.

    B = rows, L = row length, N = documents, paddings included.

    Attributes:
        token_BL: Token ids, int64.
        label_BL: The token that follows in the same document; -100 where none does.
        position_BL: Position inside the document.
        length_N: Lengths of the documents in order; they sum to B * L.
        document_N: Index of each; -1 for the padding at a row's end.
    """

    token_BL: Tensor
    label_BL: Tensor
    position_BL: Tensor
    length_N: list[int]
    document_N: list[int]


class CandidatePool(Protocol):
    """Documents by index.

    Attributes:
        ids: The id of each.
        sources: The name of the source of each.
    """

    ids: Sequence[str]
    sources: Sequence[str]

    @property
    def fingerprint(self) -> str:
        """Changes with any token and any id."""

    def text(self, index: int) -> str:
        """The text of a document."""

    def rows(self, documents: Sequence[int], are_packed: bool = True) -> list[list[int]]:
        """Indices of the documents of each row."""

    def batch(self, rows: Sequence[Sequence[int]]) -> PoolBatch:
        """A batch of rows."""


class Asked(Protocol):
    """A question with label words to choose from."""

    @property
    def id(self) -> str:
        """Its name."""

    @property
    def fields(self) -> Mapping[str, str]:
        """Texts by name, among them `prompt`."""

    @property
    def choices(self) -> Sequence[str]:
        """Label words, verbatim with their leading space."""

    @property
    def answer(self) -> int:
        """Index of the right one."""


@runtime_checkable
class SelectionData(Protocol):
    """A datamodule to select from."""

    @property
    def pool(self) -> CandidatePool:
        """The documents."""

    @property
    def target(self) -> Sequence[Asked]:
        """The task whose in-context loss is to be lowered."""
