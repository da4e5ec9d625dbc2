"""How summaries are corrupted step by step, and how generation goes back.

A process says what a clean summary becomes at a step t, what the network is shown of it, how much
each position counts in the loss, and the state one step of generation later. What is in between,
the network, its self-conditioning, steering and the projection onto tokens, is the same for all.

Shape legend: B = summaries, S = positions, V = vocabulary, M = tokens that a position may hold.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from modules.diffusion.noise import Generators


@dataclass(frozen=True)
class Tokens:
    """The tokens at each position: one, or several at once.

    Attributes:
        id_BSM: Token ids; of several the most likely first.
        is_hot_BSM: Which of them count; None for all.
    """

    id_BSM: Tensor
    is_hot_BSM: Tensor | None = None

    @classmethod
    def one(cls, token_BS: Tensor) -> "Tokens":
        """One token a position."""
        return cls(token_BS[..., None])

    @property
    def first(self) -> Tensor:
        """The most likely token of each position."""
        return self.id_BSM[..., 0]


@dataclass(frozen=True)
class Alphabet:
    """The tokens of a network.

    Attributes:
        size: V.
        mask: The one that represents a hidden token; None where there is none.
    """

    size: int
    mask: int | None = None


class Process(ABC):
    """A way from clean summaries to noise and back.

    A state is whatever the process keeps of summaries at a step; its first axes are B and S.
    """

    @abstractmethod
    def noise(
        self,
        shape_BS: tuple[int, int],
        alphabet: Alphabet,
        generators: Generators,
        device: torch.device,
    ) -> Tensor:
        """Random numbers for one state.

        Args:
            shape_BS: Summaries and positions.
            alphabet: Tokens.
            generators: One for each summary, or None for torch's own.
            device: Where the numbers go.
        """

    @abstractmethod
    def start(self, noise: Tensor) -> Tensor:
        """The state at t = T, from which generation starts; may overwrite the noise."""

    @abstractmethod
    def corrupted(self, token_BS: Tensor, noise: Tensor, left_B: Tensor) -> Tensor:
        """The state of clean summaries at their steps.

        Args:
            token_BS: Clean tokens.
            noise: From `noise`; may be overwritten.
            left_B: Signal left at each summary's step.
        """

    @abstractmethod
    def shown(self, state: Tensor, alphabet: Alphabet) -> Tensor:
        """Logits [B, S, V] whose softmax the network sees of a state."""

    def predicted(self, logits_BSV: Tensor, state: Tensor, alphabet: Alphabet) -> Tensor:
        """What a network's logits say of the clean tokens, given what the state shows already."""
        return logits_BSV

    def weights(
        self, state: Tensor, left_B: Tensor, after_B: Tensor, chance_B: Tensor
    ) -> Tensor | None:
        """Weight of each position's cross-entropy, [B, S]; None where all count the same.

        Args:
            state: That the network saw.
            left_B: Signal left at step t.
            after_B: Signal left at step t - 1.
            chance_B: Probability that training takes step t.
        """
        return None

    @abstractmethod
    def step(
        self, state: Tensor, tokens: Tokens, noise: Tensor, left_B: Tensor, after_B: Tensor
    ) -> Tensor:
        """The state at the next step of generation.

        Args:
            state: The present one.
            tokens: Predicted clean tokens.
            noise: From `noise`; may be overwritten.
            left_B: Signal left at the present step.
            after_B: Signal left at the next one, which is less noisy.
        """

    def check(self, holds_several: bool, averages_logits: bool) -> None:  # noqa: B027 - may be empty
        """Refuse options that this process cannot be combined with.

        Args:
            holds_several: Whether the projection leaves several tokens at a position.
            averages_logits: Whether self-conditioning averages logits.

        Raises:
            ValueError: One cannot be; names the option.
        """
