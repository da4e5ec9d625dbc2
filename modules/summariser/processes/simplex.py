"""Tokens as points of a logit simplex, their noise, and self-conditioning (SSD-LM, sec. 3).

A token w of a vocabulary of V is the point S_0 with +K at w and -K everywhere else (Han et al.,
2023, eq. 5). Noise is N(0, K^2 I), so S_t = sqrt(abar) S_0 + sqrt(1 - abar) K eps.

Shape legend: B = summaries, S = positions, V = vocabulary.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from typing_extensions import override

from modules.diffusion.noise import Generators, gaussian
from modules.diffusion.process import amplitudes
from modules.summariser.processes.process import Alphabet, Process, Tokens


@dataclass(frozen=True)
class Simplex(Process):
    """Diffusion in the logit simplex of a vocabulary, the paper's; a state is S_t, [B, S, V].

    A step of generation noises the predicted tokens anew, whatever stood there before (eq. 6).

    Attributes:
        scale: K, the magnitude of logits and of noise.
    """

    scale: float = 5.0

    def __post_init__(self) -> None:
        """Refuse a simplex without extent."""
        if self.scale <= 0:
            raise ValueError(f"scale must be positive, got {self.scale}")

    @override
    def noise(
        self,
        shape_BS: tuple[int, int],
        alphabet: Alphabet,
        generators: Generators,
        device: torch.device,
    ) -> Tensor:
        return gaussian((*shape_BS, alphabet.size), generators, device)

    @override
    def start(self, noise: Tensor) -> Tensor:
        return noise.mul_(self.scale)

    @override
    def corrupted(self, token_BS: Tensor, noise: Tensor, left_B: Tensor) -> Tensor:
        return self.noised(Tokens.one(token_BS), noise, left_B)

    @override
    def shown(self, state: Tensor, alphabet: Alphabet) -> Tensor:
        return state

    @override
    def step(
        self, state: Tensor, tokens: Tokens, noise: Tensor, left_B: Tensor, after_B: Tensor
    ) -> Tensor:
        return self.noised(tokens, noise, after_B)

    def noised(self, tokens: Tokens, noise_BSV: Tensor, abar_B: Tensor) -> Tensor:
        """S_t = sqrt(abar) S_0 + sqrt(1 - abar) K eps, in the memory of the noise.

        Args:
            tokens: S_0.
            noise_BSV: eps, standard normal; overwritten.
            abar_B: Signal left; 1 gives S_0 itself.
        """
        alpha, sigma = amplitudes(abar_B, noise_BSV)
        simplex_BSV = noise_BSV.mul_(sigma * self.scale).sub_(alpha * self.scale)
        height = (2 * self.scale * alpha).expand(tokens.id_BSM.shape)
        if tokens.is_hot_BSM is not None:
            height = height * tokens.is_hot_BSM
        return simplex_BSV.scatter_add_(-1, tokens.id_BSM, height.contiguous())


Form = Literal["probabilities", "logits"]
"""What self-conditioning averages: the authors' code averages probabilities, the paper logits."""


@dataclass(frozen=True)
class SelfConditioning:
    """A network also sees what it predicted one step before (P^3Sum, sec. 3.1).

    Attributes:
        form: What is averaged. With probabilities a missing prediction counts as uniform, as in
            the authors' code; with logits the simplex is then alone.
        probability: Share of training steps with a prediction; 0 turns self-conditioning off.
    """

    form: Form = "probabilities"
    probability: float = 0.5

    def __post_init__(self) -> None:
        """Refuse what is no probability."""
        if not 0 <= self.probability <= 1:
            raise ValueError(f"probability must lie in [0, 1], got {self.probability}")

    @property
    def is_on(self) -> bool:
        """Whether predictions are used at all."""
        return self.probability > 0

    @property
    def averages_logits(self) -> bool:
        """Whether predictions are averaged with a simplex before the softmax."""
        return self.is_on and self.form == "logits"

    def input(self, simplex_BSV: Tensor, before_BSV: Tensor | None) -> Tensor:
        """Shares of all tokens, [B, S, V], as the network sees them.

        Args:
            simplex_BSV: S_t.
            before_BSV: Logits that the network predicted one step before; None if there are none.
        """
        if not self.is_on:
            return simplex_BSV.softmax(-1)
        if self.form == "logits":
            mean = simplex_BSV if before_BSV is None else (simplex_BSV + before_BSV) / 2
            return mean.softmax(-1)
        own = simplex_BSV.softmax(-1)
        if before_BSV is None:
            return own.add_(1 / own.shape[-1]).div_(2)
        return own.add_(before_BSV.float().softmax(-1)).div_(2)
