"""What is added up while a backward pass meets the parameters, one after another.

Shape legend: T = tokens, N = documents, M = longest document, Q = directions, D = width.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from modules.icl.gradients.documents import DocumentTable
from modules.icl.gradients.norms import at_rows, cross_term
from modules.icl.gradients.operations import MATRIX, ROWS, Way


class Products:
    """Products of the gradient with directions, a token.

    Args:
        directions: Of each chosen parameter, Q directions of its shape, [Q, ...].
    """

    def __init__(self, directions: Mapping[str, Tensor]):
        self.directions = directions
        self.total_TQ: Tensor | None = None

    def announce(self, name: str, way: Way, saved: Tensor) -> None:
        """Products need nothing of the forward pass."""

    def add(self, name: str, way: Way, left_T: Tensor, right_T: Tensor) -> None:
        """Add the products of one use."""
        product_TQ = way.product(left_T, right_T, self.directions[name].to(left_T.device))
        self.total_TQ = product_TQ if self.total_TQ is None else self.total_TQ + product_TQ


@dataclass(frozen=True)
class Head:
    """What the table of a tied head keeps until its rows are met.

    Attributes:
        at_row_NMM: Gradients of the outputs that are the document's own tokens.
        input_NMD: What the head read.
    """

    at_row_NMM: Tensor
    input_NMD: Tensor


class Squares:
    """Squared norms of gradients, a document.

    Args:
        documents: Where they lie.
    """

    def __init__(self, documents: DocumentTable):
        self.documents = documents
        self.total_N: Tensor | None = None
        self.ids: dict[str, Tensor] = {}
        self.heads: dict[str, Head] = {}
        self.met: set[tuple[str, bool]] = set()

    def announce(self, name: str, way: Way, saved: Tensor) -> None:
        """Keep which rows are looked up: a tied head is met before they are."""
        if way is ROWS:
            self.ids[name] = saved

    def add(self, name: str, way: Way, left_T: Tensor, right_T: Tensor) -> None:
        """Add the squares of one use.

        Raises:
            ValueError: For the second time, where it is not the table of a tied head.
        """
        key = (name, way is ROWS)
        if key in self.met or (name in self.ids and way not in (MATRIX, ROWS)):
            raise ValueError(f"{name} is used more than once: norms need each use to be the only")
        self.met.add(key)
        left, right = self.documents.apart(left_T), self.documents.apart(right_T)
        self.count(way.square(left, right))
        if way is MATRIX and name in self.ids:
            id_NM = self.documents.apart(self.ids[name].flatten())
            self.heads[name] = Head(at_rows(left, id_NM), right)
        if way is ROWS and name in self.heads:
            head = self.heads.pop(name)
            self.count(cross_term(head.at_row_NMM, head.input_NMD, left))

    def count(self, square_N: Tensor) -> None:
        """Add to the total."""
        self.total_N = square_N if self.total_N is None else self.total_N + square_N
