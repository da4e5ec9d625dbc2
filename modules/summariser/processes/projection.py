"""Projections of predicted logits onto tokens (SSD-LM, sec. 3.2): greedy, sampled, several at once.

Shape legend: B = summaries, S = positions, V = vocabulary, M = most likely tokens kept.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from typing_extensions import override

from modules.diffusion.schedule import widest
from modules.nn.generators import inverse
from modules.summariser.marks import Marks
from modules.summariser.processes.process import Tokens

TRIES = 8
"""Draws from all tokens before the nucleus is sorted after all."""
FIRST = 64
"""Most likely tokens that are sorted before it is known how many the nucleus has."""


class Projection(ABC):
    """Chooses the tokens at each position, given predicted logits."""

    @abstractmethod
    def project(self, logits_BSV: Tensor, generators: Sequence[torch.Generator]) -> Tokens:
        """Tokens of each position.

        Args:
            logits_BSV: Predicted logits.
            generators: One for each summary.
        """


@dataclass(frozen=True)
class Greedy(Projection):
    """The most likely token."""

    @override
    def project(self, logits_BSV: Tensor, generators: Sequence[torch.Generator]) -> Tokens:
        return Tokens.one(logits_BSV.argmax(-1))


@dataclass(frozen=True)
class NucleusProjection(Projection):
    """Onto tokens of the nucleus: the fewest tokens whose probabilities reach p.

    Attributes:
        p: Probability of the nucleus.
    """

    p: float = 0.95

    def __post_init__(self) -> None:
        """Refuse what is no probability of a nucleus."""
        if not 0 < self.p <= 1:
            raise ValueError(f"p must lie in (0, 1], got {self.p}")


@dataclass(frozen=True)
class TopP(NucleusProjection):
    """One token, drawn from the nucleus.

    A token is drawn from all and kept if it is in the nucleus, which shows without sorting: the
    tokens before it hold less than p. What is not kept, a share of 1 - p, is drawn again.
    """

    @override
    def project(self, logits_BSV: Tensor, generators: Sequence[torch.Generator]) -> Tokens:
        batch, num, _ = logits_BSV.shape
        logits_NV = logits_BSV.flatten(0, 1).float()
        u_NT = uniforms(generators, num * (TRIES + 1), logits_NV.device).view(
            batch * num, TRIES + 1
        )
        token_N = torch.zeros(len(logits_NV), dtype=torch.int64, device=logits_NV.device)
        left_N = torch.arange(len(logits_NV), device=logits_NV.device)
        for attempt in range(TRIES):
            if not len(left_N):
                return Tokens.one(token_N.view(batch, num))
            rows_NV = logits_NV if len(left_N) == len(logits_NV) else logits_NV[left_N]
            drawn_N = draw(rows_NV.softmax(-1), u_NT[left_N, attempt])
            is_in_N = are_in_nucleus(rows_NV, drawn_N, self.p)
            token_N[left_N] = drawn_N
            left_N = left_N[~is_in_N]
        id_BSM, share_BSM = nucleus(logits_NV[None, left_N], self.p)
        place_N = draw(share_BSM[0], u_NT[left_N, TRIES])
        token_N[left_N] = id_BSM[0].gather(1, place_N[:, None])[:, 0]
        return Tokens.one(token_N.view(batch, num))


@dataclass(frozen=True)
class MultiHot(NucleusProjection):
    """All tokens of the nucleus at once."""

    @override
    def project(self, logits_BSV: Tensor, generators: Sequence[torch.Generator]) -> Tokens:
        id_BSM, share_BSM = nucleus(logits_BSV, self.p)
        return Tokens(id_BSM, share_BSM > 0)


def closed(tokens: Tokens, marks: Marks) -> Tokens:
    """Tokens with padding after the first end mark; of several tokens the most likely decides."""
    is_text_BS1 = marks.are_read(tokens.first)[..., None]
    id_BSM = tokens.id_BSM.where(is_text_BS1, marks.pad)
    if tokens.is_hot_BSM is None:
        return Tokens(id_BSM)
    is_first_M = torch.arange(id_BSM.shape[-1], device=id_BSM.device) == 0
    return Tokens(id_BSM, tokens.is_hot_BSM.where(is_text_BS1, is_first_M))


def nucleus(logits_BSV: Tensor, p: float) -> tuple[Tensor, Tensor]:
    """The fewest tokens whose probabilities reach p, most likely first (Holtzman et al., 2020).

    Of equally likely tokens the lower id comes first: half-precision logits have many, and which of
    them a partial sort finds depends on how many it looks for, which the batch decides. Only as
    many tokens are sorted as the widest nucleus needs.

    Args:
        logits_BSV: Logits.
        p: In (0, 1]; 1 keeps all tokens.

    Returns:
        Ids and probabilities [B, S, M], M that of the widest nucleus; the probabilities of tokens
        outside a nucleus are 0.
    """
    logits_BSV = logits_BSV.float()
    total_BS1 = logits_BSV.logsumexp(-1, keepdim=True)
    reach = p if p < 1 else math.inf  # rounded sums may reach 1 early
    size = logits_BSV.shape[-1]
    num = min(FIRST, size) if p < 1 else size
    while True:
        top_BSM, id_BSM = logits_BSV.topk(num, dim=-1)
        share_BSM = (top_BSM - total_BS1).exp()
        before_BSM = share_BSM.double().cumsum(-1) - share_BSM
        is_in = before_BSM < reach
        may_go_on = is_in & (top_BSM == top_BSM[..., -1:])  # with equals that are not sorted yet
        if num == size or not bool(may_go_on.any()):
            break
        num = min(8 * num, size)
    widest = max(1, int(is_in.sum(-1).max())) if is_in.numel() else 1
    return in_order(top_BSM, id_BSM)[..., :widest], (share_BSM * is_in)[..., :widest]


def in_order(top_BSM: Tensor, id_BSM: Tensor) -> Tensor:
    """Ids of falling logits, those of equal logits rising."""
    if not bool((top_BSM[..., 1:] == top_BSM[..., :-1]).any()):
        return id_BSM
    rising_BSM, place_BSM = id_BSM.sort(-1)
    value_BSM = top_BSM.gather(-1, place_BSM)
    again_BSM = value_BSM.sort(dim=-1, descending=True, stable=True).indices
    return rising_BSM.gather(-1, again_BSM)


def draw(share_NV: Tensor, u_N: Tensor) -> Tensor:
    """Tokens [N] by the inverse of the cumulated shares; arguments as of `inverse`."""
    return inverse(share_NV.cumsum(-1, dtype=widest(share_NV.device)), u_N)


def are_in_nucleus(logits_NV: Tensor, token_N: Tensor, p: float) -> Tensor:
    """Whether the tokens before each one, of equal ones those of lower ids, hold less than p, [N].

    Args:
        logits_NV: Logits.
        token_N: A token of each row.
        p: As of `nucleus`.
    """
    if p == 1:
        return torch.ones_like(token_N, dtype=torch.bool)
    own_N1 = logits_NV.gather(1, token_N[:, None])
    share_NV = (logits_NV - logits_NV.logsumexp(-1, keepdim=True)).exp_()
    before_N = share_NV.where(logits_NV > own_N1, 0).sum(-1)
    equals_NV = logits_NV == own_N1
    if bool((equals_NV.sum(-1) > 1).any()):
        id_V = torch.arange(logits_NV.shape[1], device=logits_NV.device)
        before_N = before_N + share_NV.where(equals_NV & (id_V < token_N[:, None]), 0).sum(-1)
    return before_N < p


def uniforms(generators: Sequence[torch.Generator], num: int, device: torch.device) -> Tensor:
    """Numbers in [0, 1), [B, num], in single precision: each row from its own generator."""
    rows = [
        torch.rand(num, generator=one, device=one.device, dtype=torch.float32) for one in generators
    ]
    return (torch.stack(rows) if rows else torch.zeros(0, num)).to(device)
