"""What a long context tells about the next token that a short one does not (Han et al., 2023).

A sequence is split into blocks without overlap, and every block is read from its start. Tokens are
scored that are not the first of any block: over them, blocks of 2s tokens give a context of s
tokens on average, and those of 2l one of l, both exactly.

Shape legend: N = sequences, C = context lengths, U = stretches of tokens that all blocks divide,
K = their length, B = blocks, L = their length.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from modules.causal_lm.network import LanguageModel

SHORT = 128
LONGS = (256, 512, 1024)
"""Contexts that the paper compares, in tokens on average."""


@dataclass(frozen=True)
class InformationGain:
    """Cross-entropies of sequences, each token read after contexts of several lengths.

    Attributes:
        short: s, average context in tokens.
        longs: Each l.
        nats_CN: Sums over the scored tokens of each sequence; s first, then each l. Float64, on
            the CPU.
        scored_N: How many tokens these are: 0 where the sequence is shorter than the longest block.
    """

    short: int
    longs: tuple[int, ...]
    nats_CN: Tensor
    scored_N: Tensor

    def by_sequence(self, long: int) -> Tensor:
        """IG(l, s) of each sequence, in nats per token; NaN where no token is scored."""
        return (self.nats_CN[0] - self.nats_CN[1 + self.longs.index(long)]) / self.scored_N

    def mean(self, long: int) -> float:
        """IG(l, s) over all scored tokens; positive where the long context helps."""
        gain_N = self.nats_CN[0] - self.nats_CN[1 + self.longs.index(long)]
        return float(gain_N.sum() / self.scored_N.sum())


@torch.no_grad()
def information_gain(
    network: LanguageModel,
    sequences: Sequence[Tensor],
    short: int = SHORT,
    longs: Sequence[int] = LONGS,
    batch_tokens: int = 8192,
) -> InformationGain:
    """Information gain of long contexts over a short one (Han et al., 2023, sec. 4.3).

        IG(l, s) = CE(w_i | w_b(i, 2s) .. w_i-1) - CE(w_i | w_b(i, 2l) .. w_i-1)
        b(i, v) = v floor(i / v)

    All lengths are compared on the same tokens. A sequence is cut to a multiple of the longest
    block: what remains behind is left out of all of them, and a shorter sequence altogether. No
    token is put in front of a block.

    Args:
        network: The model that measures, in evaluation mode; another than the one that selected.
        sequences: Token ids, each a vector.
        short: s, in tokens.
        longs: Each l, in tokens.
        batch_tokens: Tokens of a forward pass, or one longest block where that is more.

    Raises:
        ValueError: A long context is no multiple of the short one or does not divide the longest,
            no sequence is long enough, or the model is in training mode or cannot read that far.
    """
    check(network, short, longs)
    contexts, span = (short, *longs), 2 * max(longs)
    pieces = [one[: len(one) // span * span].view(-1, span) for one in sequences]
    num_N = torch.tensor([len(one) for one in pieces])
    if not num_N.sum():
        raise ValueError(f"no sequence has {span} tokens, twice the longest context")
    is_scored_K = scored(span, short)
    parts = torch.cat(pieces).split(max(1, batch_tokens // span))
    rows = [
        [block_nats(network, part_UK, 2 * one)[:, is_scored_K].sum(1) for one in contexts]
        for part_UK in parts
    ]
    nats_CU = torch.cat([torch.stack(row) for row in rows], dim=1).cpu()
    owner_U = torch.arange(len(pieces)).repeat_interleave(num_N)
    nats_CN = nats_CU.new_zeros(len(contexts), len(pieces)).index_add(1, owner_U, nats_CU)
    return InformationGain(short, tuple(longs), nats_CN, num_N * int(is_scored_K.sum()))


def check(network: LanguageModel, short: int, longs: Sequence[int]) -> None:
    """Refuse contexts that cannot be compared, and a model that drops activations."""
    if not longs or min(longs) <= short or short < 1:
        raise ValueError(f"long contexts must be longer than {short} tokens, got {list(longs)}")
    longest = max(longs)
    if uneven := [one for one in longs if one % short or longest % one]:
        raise ValueError(
            f"contexts of {uneven} tokens are no multiple of the short one of {short}, or do not "
            f"divide the longest of {longest}"
        )
    if network.training:
        raise ValueError("the model is in training mode, whose dropout would be measured too")


def scored(span: int, short: int) -> Tensor:
    """Tokens of a stretch that are not the first of a block of any size, boolean [K].

    Every longer block begins where a short one does.
    """
    return torch.arange(span) % (2 * short) != 0


def block_nats(network: LanguageModel, token_UK: Tensor, length: int) -> Tensor:
    """-log p of every token given those before it in its block; 0 for the first of a block.

    Args:
        network: The model.
        token_UK: Stretches of tokens, read all at once.
        length: L, tokens of a block; each is a document of its own.

    Returns:
        Nats, [U, K], float64.
    """
    device = next(network.parameters()).device
    token_BL = token_UK.reshape(-1, length).to(device)
    position_BL = torch.arange(length, device=device).expand_as(token_BL)
    logits = network(token_BL, position_BL, [length] * len(token_BL))[:, :-1].flatten(0, 1)
    exact = logits.to(torch.promote_types(logits.dtype, torch.float32))
    nats = F.cross_entropy(exact, token_BL[:, 1:].flatten(), reduction="none").double()
    return F.pad(nats.view(len(token_BL), -1), (1, 0)).view_as(token_UK)
