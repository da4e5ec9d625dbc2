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

from modules.summariser.simplex import Tokens

FIRST = 64
"""Most likely tokens that are sorted before it is known how many the nucleus has."""


class Projection(ABC):
    """Says which tokens stand at each position, given predicted logits."""

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
class TopP(Projection):
    """One token, drawn from the nucleus: the fewest tokens whose probabilities reach p.

    Attributes:
        p: Probability of the nucleus.
    """

    p: float = 0.95

    def __post_init__(self) -> None:
        """Refuse what is no probability."""
        check_p(self.p)

    @override
    def project(self, logits_BSV: Tensor, generators: Sequence[torch.Generator]) -> Tokens:
        id_BSM, share_BSM = nucleus(logits_BSV, self.p)
        sum_BSM = share_BSM.cumsum(-1)
        u_BS1 = uniforms(generators, sum_BSM.shape[1], sum_BSM.device, sum_BSM.dtype)[..., None]
        place = torch.searchsorted(sum_BSM, u_BS1 * sum_BSM[..., -1:], right=True)
        place = place.clamp(max=id_BSM.shape[-1] - 1)
        return Tokens.one(id_BSM.gather(-1, place)[..., 0])


@dataclass(frozen=True)
class MultiHot(Projection):
    """All tokens of the nucleus at once.

    Attributes:
        p: Probability of the nucleus.
    """

    p: float = 0.95

    def __post_init__(self) -> None:
        """Refuse what is no probability."""
        check_p(self.p)

    @override
    def project(self, logits_BSV: Tensor, generators: Sequence[torch.Generator]) -> Tokens:
        id_BSM, share_BSM = nucleus(logits_BSV, self.p)
        return Tokens(id_BSM, share_BSM > 0)


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


def uniforms(
    generators: Sequence[torch.Generator], num: int, device: torch.device, dtype: torch.dtype
) -> Tensor:
    """Numbers in [0, 1), [B, num]: each row from its own generator."""
    rows = [torch.rand(num, generator=one, dtype=torch.float32) for one in generators]
    found = torch.stack(rows) if rows else torch.zeros(0, num)
    return found.to(device, dtype)


def check_p(p: float) -> None:
    """Refuse what is no probability of a nucleus."""
    if not 0 < p <= 1:
        raise ValueError(f"p must lie in (0, 1], got {p}")
