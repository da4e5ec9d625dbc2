"""A network conditioned on the stance of the summary, and classifier-free guidance by it.

In training each example has the stance of its own reference summary as a condition, or, by chance,
none. A step of generation then predicts twice, with the condition and without, and extrapolates by
w (Ho & Salimans, 2022).

Shape legend: B = summaries, C = article positions, S = summary positions, V = vocabulary.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from modules.diffusion.guidance import Guidance
from modules.summariser.batch import ArticleBatch
from modules.summariser.network.denoiser import Denoiser
from modules.summariser.steering.guide import Guide, OpenGuide

UNCONDITIONED = -100
"""The stance where a network gets no condition."""
POSITIONS = 32
"""Of articles whose predictions are held at a time."""


@dataclass(frozen=True)
class StanceToken:
    """How a network is conditioned on stances.

    Attributes:
        guide: Classifier that reads the stance of a training summary where the data do not know
            it; None where they do.
        dropped: Share of training examples without a condition; where it is 0, guidance has
            nothing to extrapolate from.
        guidance: How far generation extrapolates: w = 1 uses the conditional prediction alone,
            w = 0 the unconditional one, any other both.
    """

    guide: Guide | None = None
    dropped: float = 0.1
    guidance: Guidance = field(default_factory=Guidance)

    def __post_init__(self) -> None:
        """Refuse shares that train nothing, and a guide that reads no stances."""
        if not 0 <= self.dropped < 1:
            raise ValueError(f"dropped must lie in [0, 1), got {self.dropped}")
        if self.guide is not None and not self.dropped and self.guidance.is_on:
            raise ValueError(
                "guidance needs the unconditional network, which dropped 0 never trains: "
                "let it be above 0, or guidance.scale 1"
            )
        if self.guide is not None and self.guide.target is not None:
            raise ValueError("the guide of a stance token reads stances: leave out its target")

    def check(self, data: object) -> None:
        """Refuse to train a network that never gets a stance.

        Args:
            data: The data module; others than `ArticleData` do not say what they know.

        Raises:
            ValueError: The data know the stance of no training summary, and no guide reads it.
        """
        if self.guide is None and not getattr(data, "knows_summary_stances", True):
            raise ValueError(
                "stance_token: no training summary has a known stance: give stance_token.guide a "
                "classifier, or the data a column summary_stance"
            )


class OpenStanceToken:
    """A stance token with its classifier loaded.

    Args:
        token: The options.
        guide: Its classifier; None without one.
    """

    def __init__(self, token: StanceToken, guide: OpenGuide | None):
        self.token, self.guide = token, guide

    @torch.no_grad()
    def of_references(self, batch: ArticleBatch) -> Tensor:
        """Stance of each reference summary, [B]; `UNCONDITIONED` without one, or if nobody knows.

        Args:
            batch: Articles with their summaries.
        """
        known_B = batch["summary_stance_B"]
        if self.guide is None or not bool((known_B < 0).any()):
            return known_B
        return torch.where(known_B < 0, self.read(self.guide, batch), known_B)

    def read(self, guide: OpenGuide, batch: ArticleBatch) -> Tensor:
        """Stance that a classifier reads in each reference, `UNCONDITIONED` without one, [B]."""
        token_BS, mask_BS = batch["summary_BS"], batch["summary_mask_BS"]
        start_B1 = torch.full_like(token_BS[:, :1], guide.marks.start)
        mask_BL = torch.cat([torch.ones_like(mask_BS[:, :1]), mask_BS], 1)
        log_p_BK = guide.read(torch.cat([start_B1, token_BS], 1), mask_BL)
        return log_p_BK.argmax(-1).where(mask_BS.any(1), UNCONDITIONED)

    def dropped(self, stance_B: Tensor) -> Tensor:
        """Stances of which some are dropped, each by a chance of its own, [B]."""
        u_B = torch.rand(len(stance_B), device=stance_B.device, dtype=torch.float32)
        return stance_B.where(u_B >= self.token.dropped, UNCONDITIONED)


@dataclass(frozen=True)
class Prediction:
    """What a network predicts of the tokens at one step.

    Attributes:
        own_BSV: Logits of the conditional network.
        guided_BSV: Those beyond them; the same without guidance.
        num_passes: Forward passes of the network, one a summary.
    """

    own_BSV: Tensor
    guided_BSV: Tensor
    num_passes: int


class Predictor:
    """A network with the articles that it summarises.

    Args:
        network: Predicts tokens.
        article_BC: Token ids of articles, padded on the right.
        mask_BC: True where a token is real.
        condition_B: Stance that is wanted of each summary; negative where none is.
        guidance: Of a stance token; None for an unconditional network.
        written_BW: Tokens of the summaries that are written already, all of one length.
        remembers: Whether `article_logits` is asked for.
    """

    def __init__(
        self,
        network: Denoiser[Any],
        article_BC: Tensor,
        mask_BC: Tensor,
        condition_B: Tensor,
        guidance: Guidance | None,
        written_BW: Tensor,
        remembers: bool = False,
    ):
        self.network, self.guidance = network, guidance
        self.num_positions = article_BC.shape[1]

        def read(condition_B: Tensor | None) -> Any:
            context = network.read(article_BC, mask_BC, condition_B)
            if not written_BW.shape[1]:
                return context
            return network.extended(context, written_BW, torch.ones_like(written_BW).bool())

        is_conditioned = guidance is not None and guidance.scale != 0
        self.context = read(condition_B if is_conditioned else None)
        if remembers:
            self.context = network.remember(self.context)
        self.free = (
            read(None) if is_conditioned and guidance is not None and guidance.is_on else None
        )

    def __call__(self, share_BSV: Tensor, time_B: Tensor) -> Prediction:
        """Logits in single precision; arguments as of `Denoiser.forward`."""
        own_BSV = self.network(share_BSV, time_B, self.context).float()
        if self.guidance is None or self.free is None:
            return Prediction(own_BSV, own_BSV, len(own_BSV))
        free_BSV = self.network(share_BSV, time_B, self.free).float()
        guided_BSV = self.guidance.combined(own_BSV, free_BSV)
        return Prediction(own_BSV, guided_BSV, 2 * len(own_BSV))

    def article_logits(self) -> Iterator[Tensor]:
        """What the conditional network predicts of the articles, some positions a time.

        Each is [B, N, V]; N is at most `POSITIONS`, so that none of a whole article is held.
        """
        for first in range(0, self.num_positions, POSITIONS):
            num = min(POSITIONS, self.num_positions - first)  # what is written may follow
            yield self.network.article_logits(self.context, first, num)
