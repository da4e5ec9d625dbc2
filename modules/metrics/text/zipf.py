"""How flat the frequencies of tokens are: Zipf's coefficient, and the mass of rare tokens.

Documents come packed: their tokens one after another, and their lengths.

Shape legend: T = tokens, N = documents, V = vocabulary, U = distinct tokens of all documents.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

NUM_RANKS = 5000
"""The most frequent distinct tokens of a document, which the line is fitted to."""
COVERED = 0.9
"""Share of a reference corpus that its frequent tokens make up."""

Tokens = NDArray[np.integer[Any]]
"""Token ids."""


def zipf_coefficients(
    token_T: Tokens, length_N: Sequence[int], num_ranks: int = NUM_RANKS
) -> NDArray[np.float64]:
    """Zipf's coefficient of each document: higher where few tokens make up most of it.

    Minus the slope of the least-squares line of log frequency on log rank, ranks 1 to
    min(V, `num_ranks`), tokens of equal frequency each with a rank of its own:

        - sum (x - mean x) y / sum (x - mean x)^2,  x = log rank, y = log frequency

    Han et al. (2023, sec. 4.2) compare the average coefficient of documents. That the line is
    fitted per document, and the coefficients averaged, is our reading of that word.

    Args:
        token_T: Tokens of all documents.
        length_N: Tokens of each document in order.
        num_ranks: Ranks that count, at most.

    Returns:
        Coefficients; NaN for a document with fewer than two distinct tokens, which has no line.

    Raises:
        ValueError: The lengths do not sum to the number of tokens.
    """
    owner_U, count_U = ranked_counts(token_T, length_N)
    num = len(length_N)
    first_N = np.searchsorted(owner_U, np.arange(num))
    rank_U = np.arange(len(owner_U)) - first_N[owner_U] + 1
    counts = rank_U <= num_ranks
    owner_U, x_U, y_U = owner_U[counts], np.log(rank_U[counts]), np.log(count_U[counts])
    ranks_N = np.bincount(owner_U, minlength=num)
    with np.errstate(invalid="ignore"):
        x_U = x_U - (np.bincount(owner_U, x_U, num) / ranks_N)[owner_U]
        slope_N = np.bincount(owner_U, x_U * y_U, num) / np.bincount(owner_U, x_U**2, num)
    return np.where(ranks_N > 1, -slope_N, np.nan)


def ranked_counts(
    token_T: Tokens, length_N: Sequence[int]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """How often each distinct token of a document occurs in it, the most frequent first.

    Returns:
        Document and count of each pair of a document and a token, ordered by document.
    """
    vocabulary = int(token_T.max(initial=0)) + 1
    pair_T = owners(token_T, length_N) * vocabulary + token_T
    pair_U, count_U = np.unique(pair_T, return_counts=True)
    owner_U = pair_U // vocabulary
    order_U = np.lexsort((-count_U, owner_U))
    return owner_U[order_U], count_U[order_U]


def owners(token_T: Tokens, length_N: Sequence[int]) -> NDArray[np.int64]:
    """The document of each token."""
    if sum(length_N) != len(token_T):
        raise ValueError(f"documents of {sum(length_N)} tokens, but {len(token_T)} tokens")
    return np.repeat(np.arange(len(length_N), dtype=np.int64), length_N)


def rare_tokens(count_V: NDArray[Any], covered: float = COVERED) -> NDArray[np.bool_]:
    """Tokens that are rare in a reference corpus: the long tail of its vocabulary.

    The frequent tokens are the fewest that make up `covered` of it; of tokens as frequent as the
    last of them, those with the lowest ids. All others are rare, also those that never occur.

    Args:
        count_V: How often each token occurs in the reference corpus.
        covered: Share of the reference corpus.

    Raises:
        ValueError: The reference corpus is empty, or the share lies outside of (0, 1).
    """
    if not 0 < covered < 1:
        raise ValueError(f"frequent tokens cover a share between 0 and 1, got {covered}")
    if not count_V.sum():
        raise ValueError("the reference corpus holds no token")
    order_V = np.argsort(-count_V, kind="stable")
    before_V = np.cumsum(count_V[order_V]) - count_V[order_V]
    is_rare_V = np.empty(len(count_V), bool)
    is_rare_V[order_V] = before_V >= covered * count_V.sum()
    return is_rare_V


def long_tail_mass(
    token_T: Tokens, length_N: Sequence[int], is_rare_V: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Share of the tokens of each document that are rare; that of a group weighs by length.

    Args:
        token_T: Tokens of all documents.
        length_N: Tokens of each document in order.
        is_rare_V: As `rare_tokens` returns it; an id beyond it is rare.

    Returns:
        Shares; NaN for a document without tokens.

    Raises:
        ValueError: The lengths do not sum to the number of tokens.
    """
    last = len(is_rare_V) - 1
    is_rare_T = (token_T > last) | is_rare_V[np.minimum(token_T, last)]
    rare_N = np.bincount(owners(token_T, length_N), is_rare_T, len(length_N))
    with np.errstate(invalid="ignore"):
        return rare_N / np.asarray(length_N)
