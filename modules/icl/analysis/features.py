"""Features of texts for MAUVE: the last hidden states of a language model, averaged over tokens.

Shape legend: N = texts, B = rows, L = tokens of the longest row, D = width.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from modules.causal_lm.network import LanguageModel
from modules.causal_lm.tokens.padding import padded


@torch.no_grad()
def mean_hidden_states(
    network: LanguageModel, texts: Sequence[Sequence[int]], rows_per_batch: int = 64
) -> NDArray[np.float32]:
    """What the head reads, averaged over the tokens of each text, [N, D].

    Args:
        network: The model, in evaluation mode.
        texts: Token ids of each; texts of like length make a batch.
        rows_per_batch: Texts that are read at once.
    """
    found: dict[int, Tensor] = {}
    order = sorted(range(len(texts)), key=lambda n: len(texts[n]))
    for start in range(0, len(order), rows_per_batch):
        some = order[start : start + rows_per_batch]
        for n, hidden_LD in zip(
            some, hidden_states(network, [texts[n] for n in some]), strict=True
        ):
            found[n] = hidden_LD[: len(texts[n])].float().mean(0).cpu()
    return torch.stack([found[n] for n in range(len(texts))]).numpy()


def hidden_states(network: LanguageModel, rows: Sequence[Sequence[int]]) -> Tensor:
    """What the head reads of some texts, [B, L, D]; behind the end of a text nothing of meaning."""
    token_BL, _ = padded(rows, left=False)
    B, L = token_BL.shape
    device = next(network.parameters()).device
    position_BL = torch.arange(L, device=device).expand(B, L)
    with read_by_head(network) as read:  # no token sees the padding behind it
        network(token_BL.to(device), position_BL, [L] * B)
    return read[-1]


@contextmanager
def read_by_head(network: LanguageModel) -> Iterator[list[Tensor]]:
    """Keeps what the head reads within this context."""
    read: list[Tensor] = []
    head = network.model.get_output_embeddings()
    hook = head.register_forward_pre_hook(lambda _, given: read.append(given[0]))
    try:
        yield read
    finally:
        hook.remove()
