"""Steering predicted logits by the gradients of classifiers (P^3Sum, sec. 3.2, eq. 3).

Shape legend: B = summaries, S = positions that are denoised, V = vocabulary, K = classes,
W = positions that are written before, of a summary in blocks.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from modules.diffusion.guidance import gradient
from modules.summariser.steering.guide import ArticleLogits, Guide, OpenGuide

Objective = Literal["log_probability", "margin"]
"""What rises: the paper's log-probability of the wanted class, or its logit above the best other,
whose gradient does not fade where the classifier is sure."""
HALVINGS = 20
"""Of the interval of factors, on a logarithmic scale, for a step of given divergence."""
LARGEST = 1e6
"""Largest factor on a gradient."""


@dataclass(frozen=True)
class Control:
    """How summaries are steered.

    Every summary has its own target and its own step, so that neither depends on the batch.

    Attributes:
        guides: The classifiers; their scores are added by their weights.
        strength: lambda, the factor on the gradient with respect to the logits.
        divergence: Instead of `strength`: the factor of each summary is such that its tokens'
            probabilities move by this Kullback-Leibler divergence (guided from unguided), in nats a
            position that is denoised, on average.
        objective: What rises.
        every: Steps of diffusion from one guided step to the next.
        only_while_wrong: Whether summaries that the guides already read as wanted are left alone.
        window: Times t / T from and to which is guided.
        batch_mean: Whether gradients are divided by the size of the batch, as in the authors' code,
            where lambda 4000 in batches of 8 is 500 for a summary.
    """

    guides: list[Guide] = field(default_factory=list)
    strength: float = 30.0
    divergence: float | None = None
    objective: Objective = "log_probability"
    every: int = 1
    only_while_wrong: bool = False
    window: tuple[float, float] = (0.0, 1.0)
    batch_mean: bool = False

    def __post_init__(self) -> None:
        """Refuse what steers nothing, or away."""
        if self.strength < 0 or (self.divergence is not None and self.divergence < 0):
            raise ValueError("strength and divergence must not be negative")
        if self.every < 1:
            raise ValueError(f"every must be at least 1, got {self.every}")
        low, high = self.window
        if not 0 <= low <= high <= 1:
            raise ValueError(f"window must rise within [0, 1], got {low} to {high}")
        if self.batch_mean and self.divergence is not None:
            raise ValueError("batch_mean must be off where divergence decides the size of a step")

    @property
    def is_on(self) -> bool:
        """Whether anything is steered."""
        size = self.strength if self.divergence is None else self.divergence
        return bool(self.guides) and size > 0

    def check_due(self, times: Sequence[float]) -> None:
        """Refuse options by which no step is guided.

        Args:
            times: t / T of the steps of generation, from the noisy end.

        Raises:
            ValueError: None is.
        """
        if not any(self.is_due(number, time) for number, time in enumerate(times)):
            raise ValueError(
                f"control.window {self.window[0]} to {self.window[1]} with every {self.every} "
                f"holds none of the {len(times)} steps of generation: widen it"
            )

    def is_due(self, number: int, time: float) -> bool:
        """Whether a step is guided.

        Args:
            number: Of the step, from 0 at the noisy end.
            time: Its t / T.
        """
        return self.is_on and number % self.every == 0 and self.window[0] <= time <= self.window[1]


@dataclass(frozen=True)
class Steered:
    """Logits after a step of control.

    Attributes:
        logits_BSV: The logits.
        is_moved_B: Which summaries were steered.
        is_broken_B: Which were left alone, since their gradient was not finite.
        num_passes: Forward and backward passes of classifiers, one a summary and guide.
    """

    logits_BSV: Tensor
    is_moved_B: Tensor
    is_broken_B: Tensor
    num_passes: int


class Steering:
    """Control with its classifiers loaded.

    Args:
        control: The options.
        guides: Its classifiers, in order.
    """

    def __init__(self, control: Control, guides: Sequence[OpenGuide]):
        self.control = control
        self.guides = list(guides)

    @property
    def sees_predictions(self) -> bool:
        """Whether a guide reads what the network predicts of articles."""
        return any(one.guide.sees == "predicted" for one in self.guides)

    def steer(
        self,
        logits_BSV: Tensor,
        asked_B: Tensor,
        article_BC: Tensor,
        mask_BC: Tensor,
        predicted: ArticleLogits | None = None,
        written_BW: Tensor | None = None,
    ) -> Steered:
        """Move logits towards the stance that is asked of each summary.

        Args:
            logits_BSV: Predicted logits.
            asked_B: Stance that is wanted; -100 leaves a summary alone.
            article_BC: Tokens of the articles.
            mask_BC: True where one is real.
            predicted: What the network predicts of them, where a guide sees it.
            written_BW: Tokens that are written before; guides read them, and nothing moves them.
        """
        article = article_BC, mask_BC
        shown = [[*article, *mixture(one, predicted)] for one in self.guides]
        right = list[Tensor]()

        def score(z_BSV: Tensor) -> Tensor:
            share_BSV, total_B = (
                with_prefix(written_BW, z_BSV.softmax(-1)),
                z_BSV.new_zeros(len(z_BSV)),
            )
            for guide, before in zip(self.guides, shown, strict=True):
                target_B = guide.targets(asked_B)
                log_p_BK = guide.log_p(share_BSV, *before)
                right.append((log_p_BK.argmax(-1) == target_B) | (target_B < 0))
                total_B = total_B + guide.guide.weight * raised(
                    log_p_BK, target_B, self.control.objective
                )
            return total_B

        z_BSV = logits_BSV.float()
        rise_BSV = gradient(score, z_BSV)
        if self.control.batch_mean:
            rise_BSV = rise_BSV / len(rise_BSV)
        is_sound_B = rise_BSV.flatten(1).isfinite().all(1)
        is_due_B = torch.ones_like(is_sound_B)
        if any(one.guide.target is None for one in self.guides):
            is_due_B = asked_B >= 0
        if self.control.only_while_wrong:
            is_due_B = is_due_B & ~torch.stack(right).all(0)
        is_moved_B = is_due_B & is_sound_B
        rise_BSV = rise_BSV.where(is_moved_B[:, None, None], 0)
        guided = z_BSV + self.factors(z_BSV, rise_BSV)[:, None, None] * rise_BSV
        num = len(z_BSV) * len(self.guides)
        return Steered(guided, is_moved_B, is_due_B & ~is_sound_B, num)

    def factors(self, z_BSV: Tensor, rise_BSV: Tensor) -> Tensor:
        """Factor on the gradient of each summary, [B]."""
        if self.control.divergence is None:
            return z_BSV.new_full((len(z_BSV),), self.control.strength)
        return step_of(z_BSV, rise_BSV, self.control.divergence)


def mixture(guide: OpenGuide, predicted: ArticleLogits | None) -> list[Tensor]:
    """What a guide reads at the positions of articles, if it sees what is predicted of them.

    Raises:
        ValueError: Nothing is.
    """
    if guide.guide.sees != "predicted":
        return []
    if predicted is None:
        raise ValueError(f"the guide {guide.guide.source} sees `predicted`, but nothing is")
    return [guide.mixtures(predicted())]


def with_prefix(written_BW: Tensor | None, share_BSV: Tensor) -> Tensor:
    """Shares of whole summaries, [B, W + S, V]: all of a token where it is written."""
    if written_BW is None or not written_BW.shape[1]:
        return share_BSV
    written_BWV = F.one_hot(written_BW, share_BSV.shape[-1]).to(share_BSV.dtype)
    return torch.cat([written_BWV, share_BSV], 1)


def raised(log_p_BK: Tensor, target_B: Tensor, objective: Objective) -> Tensor:
    """Score of each summary, [B]; 0 where nothing is wanted."""
    place_B1 = target_B.clamp(min=0)[:, None]
    own_B = log_p_BK.gather(1, place_B1)[:, 0]
    if objective == "margin":
        others_BK = log_p_BK.scatter(1, place_B1, -torch.inf)
        own_B = own_B - others_BK.amax(1)
    return own_B.where(target_B >= 0, 0)


def step_of(z_BSV: Tensor, rise_BSV: Tensor, divergence: float) -> Tensor:
    """Factors s with KL(softmax(z + s rise) || softmax(z)) = divergence, a position on average.

    The divergence grows with s, and is at most s^2 / 8 times the mean square of the rise's range
    (Hoeffding's lemma): from that bound on, s is found by halving on a logarithmic scale, since
    where one token is almost certain no estimate at s = 0 says how far the others have to rise.
    Where nothing reaches the divergence, as for a gradient of 0, s is `LARGEST`.

    Returns:
        [B].
    """
    before_BSV = z_BSV.log_softmax(-1)

    def moved(s_B: Tensor) -> Tensor:
        after_BSV = (z_BSV + s_B[:, None, None] * rise_BSV).log_softmax(-1)
        return (after_BSV.exp() * (after_BSV - before_BSV)).sum(-1).mean(-1)

    range_BS = rise_BSV.amax(-1) - rise_BSV.amin(-1)
    low = (8 * divergence / (range_BS**2).mean(-1)).sqrt().clamp(1 / LARGEST, LARGEST)
    high = torch.full_like(low, LARGEST)
    for _ in range(HALVINGS):
        middle = (low * high).sqrt()
        is_short = moved(middle) < divergence
        low, high = torch.where(is_short, middle, low), torch.where(is_short, high, middle)
    return (low * high).sqrt()
