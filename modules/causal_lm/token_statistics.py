"""Statistics of the tokens of a text under a causal language model, summed over the text.

Shape legend: N = texts, B = rows, L = tokens of a row, T = real tokens of all rows, V = vocabulary.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from modules.causal_lm.network import LanguageModel
from modules.causal_lm.score import of_tokens
from modules.causal_lm.tokens.padding import padded

CHUNK = 2**24
"""Logits that are held in float32 at a time."""


@dataclass(frozen=True)
class TokenSums:
    """Sums over the tokens x_t of each text, float64 [N].

    p is the scoring model, q the reference model, both given the tokens before.

    Attributes:
        count: Number of tokens.
        log_p: Of log p(x_t).
        log_rank: Of log r_t, with r_t = 1 for the token that p finds most likely.
        entropy: Of -sum_v p(v) log p(v).
        mean: Of the mean of log p under q, m_t = sum_v q(v) log p(v).
        variance: Of its variance, sum_v q(v) log^2 p(v) - m_t^2.
    """

    count: Tensor
    log_p: Tensor
    log_rank: Tensor
    entropy: Tensor
    mean: Tensor
    variance: Tensor


def token_terms(logits_TV: Tensor, reference_TV: Tensor, target_T: Tensor) -> Tensor:
    """The terms of `TokenSums`, in their order, of each token: float64 [T, 6].

    Args:
        logits_TV: Of the scoring model.
        reference_TV: Of the reference model.
        target_T: The tokens.
    """
    log_p_TV = logits_TV.float().log_softmax(1)
    q_TV = reference_TV.float().softmax(1)
    log_p_T = of_tokens(log_p_TV, target_T)
    rank_T = 1 + (log_p_TV > log_p_T[:, None]).sum(1)
    mean_T = (q_TV * log_p_TV).sum(1)
    # around the mean, as a difference of large numbers would lose digits
    variance_T = (q_TV * (log_p_TV - mean_T[:, None]).square()).sum(1)
    entropy_T = -(log_p_TV.exp() * log_p_TV).sum(1)
    terms = [torch.ones_like(log_p_T), log_p_T, rank_T.log(), entropy_T, mean_T, variance_T]
    return torch.stack([term.double() for term in terms], dim=1)


@torch.no_grad()
def token_sums(
    model: LanguageModel,
    reference: LanguageModel,
    texts: Sequence[list[int]],
    start: int,
    max_length: int,
    batch_size: int,
) -> TokenSums:
    """Statistics of texts under the models.

    A text longer than a row continues in the next, which starts anew; every token counts once.

    Args:
        model: The scoring model.
        reference: The reference model; may be the same.
        texts: Token ids of each text, without a start.
        start: Id that starts a row.
        max_length: Tokens of a row, at most.
        batch_size: Rows side by side.

    Returns:
        Sums for each text, on the CPU; all 0 for one without tokens.
    """
    pieces = [
        (n, ids[at : at + max_length])
        for n, ids in enumerate(texts)
        for at in range(0, len(ids), max_length)
    ]
    pieces.sort(key=lambda piece: -len(piece[1]))  # rows of similar length go together
    sums_N6 = torch.zeros(len(texts), 6, dtype=torch.float64)
    for at in range(0, len(pieces), batch_size):
        some = pieces[at : at + batch_size]
        terms_T6 = row_terms(model, reference, [ids for _, ids in some], start)
        which_T = torch.tensor([n for n, ids in some for _ in ids])
        sums_N6.index_add_(0, which_T, terms_T6.cpu())
    return TokenSums(*sums_N6.unbind(1))


def row_terms(
    model: LanguageModel, reference: LanguageModel, rows: list[list[int]], start: int
) -> Tensor:
    """The terms of all tokens of some rows, one row after the other, [T, 6]."""
    device = next(model.parameters()).device
    length = max(map(len, rows))
    token_BL, mask_BL = padded([[start, *ids[:-1]] for ids in rows], left=False)
    lengths = [(len(ids), length - len(ids)) for ids in rows]  # padding is a document of its own
    position_BL = torch.stack([torch.cat([*map(torch.arange, pair)]) for pair in lengths])
    parts = [part for pair in lengths for part in pair if part]
    inputs = (token_BL.to(device), position_BL.to(device), parts)
    real_T = mask_BL.bool().flatten().to(device)
    logits_TV = model(*inputs).flatten(0, 1)[real_T]
    same = reference is model
    reference_TV = logits_TV if same else reference(*inputs).flatten(0, 1)[real_T]
    target_T = torch.tensor([one for ids in rows for one in ids], device=device)
    size = max(1, CHUNK // logits_TV.shape[1])
    chunks = zip(*(one.split(size) for one in (logits_TV, reference_TV, target_T)), strict=True)
    return torch.cat([token_terms(*chunk) for chunk in chunks])
