"""Embeddings on disk, and the search for the highest inner products among them.

Shape legend: Q = queries, N = keys, D = width of an embedding.
"""

import hashlib
from collections.abc import Callable, Iterable
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from engine.disk.whole import whole
from modules.prompting.ranking import Ranking, best_of_each, merged

Matrix = NDArray[np.float32]
ROWS = 65536
"""Keys that are scored at a time."""


class Index(Protocol):
    """Finds the keys with the highest inner product."""

    def search(self, query_QD: Matrix, k: int) -> Ranking:
        """The k best keys of each query, k from 1 to N."""


class PlainIndex:
    """An exact search by matrix products, a part of the keys at a time.

    Args:
        key_ND: The keys; may be mapped into memory.
    """

    def __init__(self, key_ND: Matrix):
        self.key_ND = key_ND

    def search(self, query_QD: Matrix, k: int) -> Ranking:
        """The k best keys of each query; of equal scores, the first."""
        found = self._part(0, query_QD, k)
        for start in range(ROWS, len(self.key_ND), ROWS):
            found = merged(found, self._part(start, query_QD, k), k)
        return found

    def _part(self, start: int, query_QD: Matrix, k: int) -> Ranking:
        key_RD = self.key_ND[start : start + ROWS]
        index_QK, score_QK = best_of_each(query_QD @ key_RD.T, min(k, len(key_RD)))
        return Ranking(index_QK + start, score_QK)


class FaissIndex:
    """A search by FAISS, which need not be exact.

    Args:
        index: An index of FAISS by inner product, filled.
    """

    def __init__(self, index: Any):
        self.index = index

    def search(self, query_QD: Matrix, k: int) -> Ranking:
        """The k best keys of each query, as far as the index finds them.

        Raises:
            ValueError: It finds fewer.
        """
        score_QK, index_QK = self.index.search(np.ascontiguousarray(query_QD), k)
        least = int((index_QK >= 0).sum(1).min(initial=k))
        if least < k:
            raise ValueError(f"the index of FAISS finds {least} of {k} keys; 'Flat' finds all.")
        return Ranking(index_QK, score_QK)


def plain_index(folder: Path | None, name: str, embed: Callable[[], Matrix]) -> PlainIndex:
    """Keys in memory or, if there is a folder, in its file `name.npy`, made where it is missing."""
    if folder is None:
        return PlainIndex(embed())
    path = folder / f"{name}.npy"
    if not path.is_file():
        with whole(path) as draft, draft.open("wb") as file:
            np.save(file, embed())
    return PlainIndex(np.load(path, mmap_mode="r"))


def faiss_index(
    folder: Path | None, name: str, embed: Callable[[], Matrix], description: str
) -> FaissIndex:
    """The same by FAISS, in the file `name.DESCRIPTION.faiss` next to the embeddings.

    Args:
        folder: Where the files are; none are where None.
        name: Of the embeddings.
        embed: Computes them.
        description: What index FAISS builds, such as "Flat".

    Raises:
        ModuleNotFoundError: FAISS is not installed.
        ValueError: FAISS does not know the description.
    """
    faiss = required_faiss(description)
    if folder is None:
        return FaissIndex(filled(faiss, embed(), description))
    path = folder / f"{name}.{digest([description])}.faiss"
    if not path.is_file():
        key_ND = plain_index(folder, name, embed).key_ND
        with whole(path) as draft:
            faiss.write_index(filled(faiss, key_ND, description), str(draft))
    return FaissIndex(faiss.read_index(str(path)))


def filled(faiss: Any, key_ND: Matrix, description: str) -> Any:
    """An index of FAISS with the keys."""
    try:
        index = faiss.index_factory(key_ND.shape[1], description, faiss.METRIC_INNER_PRODUCT)
    except RuntimeError as error:
        raise ValueError(f"FAISS knows no index {description!r}.") from error
    index.train(np.ascontiguousarray(key_ND))
    index.add(np.ascontiguousarray(key_ND))
    return index


def required_faiss(description: str) -> Any:
    """The module, or an error that names the alternative."""
    try:
        return import_module("faiss")
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"faiss={description!r} needs the package faiss-cpu, which is not installed; with null"
            " a matrix product searches, exactly."
        ) from error


def digest(texts: Iterable[str]) -> str:
    """32 hexadecimal digits for texts in their order."""
    state = hashlib.sha256()
    for text in texts:
        data = text.encode()
        state.update(len(data).to_bytes(8, "little") + data)
    return state.hexdigest()[:32]
