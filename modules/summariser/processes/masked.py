"""Masked diffusion: tokens are hidden, and shown again (MDLM; Sahoo et al., 2024).

At step t each token is hidden with probability 1 - alpha_t, independently of the others, where
alpha_t is the signal left. Generation starts with all hidden. From t to s < t a hidden token is
shown with probability (alpha_s - alpha_t) / (1 - alpha_t), drawn from the network's prediction, and
what is shown stays (sec. 3).

Shape legend: B = summaries, S = positions, V = vocabulary.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from typing_extensions import override

from modules.diffusion.noise import Generators
from modules.summariser.processes.process import Alphabet, Process, Tokens
from modules.summariser.processes.projection import uniforms

HIDDEN = -1
"""Stands in a state for a hidden token."""
NEVER = -1e4
"""A logit of probability 0, finite so that its products with 0 are 0."""


@dataclass(frozen=True)
class Masked(Process):
    """The absorbing process; a state holds token ids, `HIDDEN` where one is hidden.

    The network sees a token as itself and a hidden one as the tokenizer's mask token. Without a
    mask token it sees equal shares of all tokens, which say as little.

    Attributes:
        is_bound: Whether positions are weighted so that the loss is the bound on the negative
            log-likelihood, in T steps; else each hidden token counts the same.
    """

    is_bound: bool = True

    @override
    def noise(
        self,
        shape_BS: tuple[int, int],
        alphabet: Alphabet,
        generators: Generators,
        device: torch.device,
    ) -> Tensor:
        if generators is None:
            return torch.rand(shape_BS, device=device, dtype=torch.float32)
        assert not isinstance(generators, torch.Generator)
        return uniforms(generators, shape_BS[1], device)

    @override
    def start(self, noise: Tensor) -> Tensor:
        return torch.full(noise.shape, HIDDEN, device=noise.device)

    @override
    def corrupted(self, token_BS: Tensor, noise: Tensor, left_B: Tensor) -> Tensor:
        return token_BS.where(noise < left_B[:, None], HIDDEN)

    @override
    def shown(self, state: Tensor, alphabet: Alphabet) -> Tensor:
        hidden_BS1 = (state == HIDDEN)[..., None]
        token_BS = state if alphabet.mask is None else state.where(state != HIDDEN, alphabet.mask)
        size = (*state.shape, alphabet.size)
        own_BSV = torch.full(size, NEVER, device=state.device, dtype=torch.float32)
        own_BSV.scatter_(-1, token_BS.clamp(min=0)[..., None], 0.0)
        return own_BSV if alphabet.mask is not None else own_BSV.masked_fill(hidden_BS1, 0.0)

    @override
    def predicted(self, logits_BSV: Tensor, state: Tensor, alphabet: Alphabet) -> Tensor:
        """No token is predicted to be hidden, and one that is shown to be another."""
        logits_BSV = logits_BSV.float()
        if alphabet.mask is not None:
            is_mask_V = torch.arange(alphabet.size, device=state.device) == alphabet.mask
            logits_BSV = logits_BSV.masked_fill(is_mask_V, NEVER)
        return logits_BSV.where((state == HIDDEN)[..., None], self.shown(state, alphabet))

    @override
    def weights(self, state: Tensor, left_B: Tensor, after_B: Tensor, chance_B: Tensor) -> Tensor:
        """Of a hidden token (alpha_{t-1} - alpha_t) / (1 - alpha_t), over the chance of t."""
        weight_B = shown_share(left_B, after_B) / chance_B
        if not self.is_bound:
            weight_B = torch.ones_like(weight_B)
        return weight_B[:, None].where(state == HIDDEN, 0).float()

    @override
    def step(
        self, state: Tensor, tokens: Tokens, noise: Tensor, left_B: Tensor, after_B: Tensor
    ) -> Tensor:
        is_shown_BS = noise < shown_share(left_B, after_B)[:, None]
        return torch.where((state == HIDDEN) & is_shown_BS, tokens.first, state)

    @override
    def check(self, holds_several: bool, averages_logits: bool) -> None:
        if holds_several:
            raise ValueError(
                "generation.projection MultiHot leaves several tokens at a position, but masked "
                "diffusion shows one: take TopP or Greedy"
            )
        if averages_logits:
            raise ValueError(
                "self_conditioning.form logits averages with noised logits, which masked diffusion "
                "has not: take probabilities"
            )


def shown_share(left_B: Tensor, after_B: Tensor) -> Tensor:
    """Share of the hidden tokens that is shown from one step to the next, [B]."""
    return (after_B - left_B) / (1 - left_B)
