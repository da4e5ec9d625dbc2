"""Guidance: away from what is predicted without the condition, or along a classifier's gradient.

Layout of a doubled batch, everywhere: first the B samples with their condition, then the same B
samples without, in the same order.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

Predict = Callable[[Tensor, Tensor], Tensor]
"""A network as samplers see it: (x_t, t_B) to what it predicts, of the samples' shape."""


@dataclass(frozen=True)
class Guidance:
    """How far to go beyond the conditional prediction.

    Attributes:
        scale: w of `guide`; 1 is the conditional prediction itself, and needs no doubled batch.
        rescale: phi of `rescaled`; 0 leaves the prediction as it is.
    """

    scale: float = 1.0
    rescale: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what is no mixture."""
        if not 0 <= self.rescale <= 1:
            raise ValueError(f"rescale must lie in [0, 1], got {self.rescale}")

    @property
    def is_on(self) -> bool:
        """Whether predictions without the condition are needed."""
        return self.scale != 1

    def wrap(self, predict: Predict) -> Predict:
        """A prediction for B samples from one that is asked for both halves of a doubled batch.

        Args:
            predict: Sees 2 B samples and steps; the second half is to ignore its condition. Where
                guidance is off, it is returned as it is and sees B.
        """
        return (lambda x_t, t_B: self._both(predict, x_t, t_B)) if self.is_on else predict

    def _both(self, predict: Predict, x_t: Tensor, t_B: Tensor) -> Tensor:
        both = predict(torch.cat([x_t, x_t]), torch.cat([t_B, t_B]))
        return self.combined(*both.chunk(2))

    def combined(self, conditional: Tensor, free: Tensor) -> Tensor:
        """The guided prediction of one with and one without the condition."""
        guided = guide(conditional, free, self.scale)
        return rescaled(guided, conditional, self.rescale) if self.rescale else guided


def guide(conditional: Tensor, free: Tensor, scale: float) -> Tensor:
    """Predictions free + w (conditional - free) (Ho & Salimans, 2022, eq. 6; their w is w - 1)."""
    return free + scale * (conditional - free)


def rescaled(guided: Tensor, conditional: Tensor, share: float) -> Tensor:
    """Guided predictions drawn back to the conditional ones' spread (Lin et al., 2023, sec. 3.4).

    Args:
        guided: Guided predictions.
        conditional: Conditional predictions.
        share: phi, from 0 (as guided) to 1 (each sample with the conditional's deviation).
    """
    ratio_B = conditional.flatten(1).std(dim=1) / guided.flatten(1).std(dim=1)
    ratio = ratio_B.view(-1, *[1] * (guided.ndim - 1))
    return guided * (share * ratio + 1 - share)


def gradient(score: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Gradient of each sample's score with respect to it, for classifier guidance.

    Works in evaluations too, where gradients are off (Dhariwal & Nichol, 2021, alg. 1: what is
    guided moves along the gradient of log p(y | x)). Each sample's gradient is its own, whatever
    the batch, as long as a score depends on its sample alone.

    Args:
        score: Takes samples, returns a score of each, [B].
        x: Samples.

    Returns:
        Of the samples' shape.
    """
    with torch.inference_mode(False), torch.enable_grad():
        at = x.clone().detach().requires_grad_()
        (found,) = torch.autograd.grad(score(at).sum(), at)
    return found
