"""Heads that copy: attention to what followed the same token before (Olsson et al., 2022).

Random tokens are read twice. A head that copies looks, at a token of the second copy, at the token
that came after it in the first one: it tells what comes next. The mean weight that it gives there
is its prefix-matching score; a head that attends evenly has `even`.

Shape legend: B = sequences, L = their length, M = tokens of a copy, H = heads of a layer,
Q = positions of the second copy, V = vocabulary.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from modules.causal_lm.network import LanguageModel


@dataclass(frozen=True)
class CopyHeads:
    """How much a model copies from its context.

    Attributes:
        score_H: Prefix-matching score of each head, a tensor a layer; layers without weights of
            attention have none. In [0, 1], on the CPU.
        even: The score of a head that attends to all tokens before it and its own alike.
        first_nats: Mean loss of a token in the first copy, its first token left out.
        again_nats: The same in the second copy.
    """

    score_H: list[Tensor]
    even: float
    first_nats: float
    again_nats: float

    @property
    def highest(self) -> float:
        """Score of the head that copies most."""
        return float(torch.cat(self.score_H).max())

    @property
    def mean(self) -> float:
        """Mean score of all heads."""
        return float(torch.cat(self.score_H).mean())

    @property
    def gain(self) -> float:
        """Nats a token that are saved by having read the sequence: what copying does."""
        return self.first_nats - self.again_nats


def repeated(tokens: Sequence[int], length: int, num: int, start: int, seed: int) -> Tensor:
    """Sequences [B, 1 + 2 M]: a start, then random tokens, no two the same, twice.

    Args:
        tokens: Ids that are drawn from.
        length: M.
        num: B.
        start: Id of the token that documents start with.
        seed: Of the draw.

    Raises:
        ValueError: A copy of fewer than two tokens, or of more than there are.
    """
    if not 2 <= length <= len(tokens):
        raise ValueError(f"a copy of {length} different tokens out of {len(tokens)}")
    generator = torch.Generator().manual_seed(seed)
    order = torch.stack([torch.randperm(len(tokens), generator=generator) for _ in range(num)])
    copy_BM = torch.tensor(tokens)[order[:, :length]]
    return torch.cat([torch.full((num, 1), start), copy_BM, copy_BM], dim=1)


@torch.no_grad()
def copy_heads(network: LanguageModel, token_BL: Tensor, rows_per_batch: int = 64) -> CopyHeads:
    """Prefix-matching scores of all heads, and what the second copy costs beside the first.

    Args:
        network: The model, in evaluation mode.
        token_BL: Sequences as `repeated` makes them.
        rows_per_batch: Sequences that are read at once.

    Raises:
        ValueError: The model cannot read that far, or gives no weights of attention.
    """
    B, L = token_BL.shape
    if network.readable is not None and network.readable < L:
        raise ValueError(f"sequences of {L} tokens, but the model reads {network.readable}")
    length = (L - 1) // 2
    query_Q = torch.arange(1 + length, L)
    key_Q = query_Q - length + 1
    totals, nats_L = list[Tensor](), torch.zeros(L - 1, dtype=torch.float64)
    for part_BL in token_BL.split(rows_per_batch):
        weights, nats_BL = reading(network, part_BL)
        found = [one[:, :, query_Q, key_Q].double().mean(2).sum(0).cpu() for one in weights]
        totals = [a + b for a, b in zip(totals, found, strict=True)] if totals else found
        nats_L += nats_BL.double().sum(0).cpu()
    first, again = (nats_L[at : at + length - 1].mean().item() / B for at in (1, 1 + length))
    even = float((1 / (query_Q + 1.0)).mean())
    return CopyHeads([one / B for one in totals], even, first, again)


def reading(network: LanguageModel, token_BL: Tensor) -> tuple[list[Tensor], Tensor]:
    """Weights [B, H, L, L] of each layer of attention, and the loss [B, L - 1] of each token.

    Raises:
        ValueError: There are no weights.
    """
    B, L = token_BL.shape
    token_BL = token_BL.to(network.model.device)
    position_BL = torch.arange(L, device=token_BL.device).expand(B, L)
    with weighing(network) as model:
        out = model(token_BL, position_ids=position_BL, use_cache=False, output_attentions=True)
    weights = [one for one in out.attentions or () if one is not None]
    if not weights:
        raise ValueError(f"{type(network.model).__name__} gives no weights of attention")
    logits_BVL = out.logits[:, :-1].transpose(1, 2).float()
    return weights, F.cross_entropy(logits_BVL, token_BL[:, 1:], reduction="none")


@contextmanager
def weighing(network: LanguageModel) -> Iterator[nn.Module]:
    """The `transformers` model with the attention that keeps its weights; later its own again."""
    network.model.set_attn_implementation("eager")
    try:
        yield network.model
    finally:
        network.model.set_attn_implementation(network.attention)
