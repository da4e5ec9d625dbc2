"""Summaries from noise: the steps of simplex diffusion, steered (P^3Sum, sec. 3.2).

Each step predicts the tokens from the noised simplexes, moves the predicted logits towards the
stance, projects them onto tokens, and noises those to the next step.

Shape legend: B = summaries, C = article positions, S = positions, V = vocabulary.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Literal

import torch
from torch import Tensor

from modules.diffusion.guidance import Guidance
from modules.diffusion.noise import gaussian
from modules.diffusion.schedule import Schedule, widest
from modules.diffusion.timesteps import Spacing, spaced
from modules.nn.generators import generator_of, seed_of
from modules.summariser.control import Steering
from modules.summariser.network.denoiser import Denoiser
from modules.summariser.projection import Greedy, Projection, TopP
from modules.summariser.simplex import SelfConditioning, Simplex, Tokens
from modules.summariser.stance_token import Predictor

Carried = Literal["unguided", "guided"]
"""Which logits self-conditioning shows at the next step: P^3Sum's, or TESS-2's."""


@dataclass(frozen=True)
class Generation:
    """How summaries are drawn.

    Attributes:
        num_steps: Steps of diffusion, each a pass of the network.
        spacing: Which of the schedule's steps these are.
        projection: Which tokens stand after a step.
        last_greedy: Whether the last step takes the most likely tokens, whatever the projection.
        carried: Which logits self-conditioning shows: before all guidance or after it.
        seed: Of all noise; a summary's noise depends on it and on the article's id alone.
    """

    num_steps: int = 50
    spacing: Spacing = "trailing"
    projection: Projection = field(default_factory=TopP)
    last_greedy: bool = True
    carried: Carried = "unguided"
    seed: int = 0


@dataclass
class Cost:
    """Passes spent on summaries, one a summary.

    Attributes:
        denoiser: Forward passes of the network.
        guide: Forward and backward passes of classifiers.
        num_broken: Steps that were not steered, since a gradient was not finite.
    """

    denoiser: int = 0
    guide: int = 0
    num_broken: int = 0


@dataclass(frozen=True)
class Denoised:
    """What stands after a step.

    Attributes:
        step: t, before the step.
        logits_BSV: Predicted logits, steered.
        tokens: Tokens that they were projected onto.
    """

    step: int
    logits_BSV: Tensor
    tokens: Tokens


class SummarySampler:
    """Draws summaries with a network.

    Args:
        network: Predicts tokens.
        simplex: As in training.
        schedule: As in training.
        self_conditioning: As in training.
        generation: Options.
        length: S.
        steering: Control with its classifiers; None leaves summaries as they come.
        guidance: Of a network that is told stances; None for one that is not.
    """

    def __init__(
        self,
        network: Denoiser[Any],
        simplex: Simplex,
        schedule: Schedule,
        self_conditioning: SelfConditioning,
        generation: Generation,
        length: int,
        steering: Steering | None = None,
        guidance: Guidance | None = None,
    ):
        self.network, self.simplex, self.schedule = network, simplex, schedule
        self.self_conditioning, self.generation = self_conditioning, generation
        self.length, self.guidance = length, guidance
        self.steering = steering if steering is not None and steering.control.is_on else None
        self.path = spaced(generation.num_steps, generation.spacing, schedule.num_steps)
        self.signals: list[float] = schedule.signal(torch.tensor(self.path)).tolist()
        self.cost = Cost()

    @torch.no_grad()
    def draw(
        self,
        article_BC: Tensor,
        mask_BC: Tensor,
        asked_B: Tensor,
        names: Sequence[str],
        watch: Callable[[Denoised], None] | None = None,
    ) -> Tensor:
        """Tokens of the summaries, [B, S].

        Args:
            article_BC: Token ids of articles, padded on the right.
            mask_BC: True where a token is real.
            asked_B: Stance that is wanted; -100 where none is.
            names: What each summary's noise is seeded with, such as the article's id.
            watch: Sees what stands after each step, and changes nothing.
        """
        for state in self.states(article_BC, mask_BC, asked_B, names):
            last = state
            if watch is not None:
                watch(state)
        return last.tokens.id_BSM[..., 0]

    @torch.no_grad()
    def states(
        self, article_BC: Tensor, mask_BC: Tensor, asked_B: Tensor, names: Sequence[str]
    ) -> Iterator[Denoised]:
        """What stands after each step; arguments as of `draw`."""
        device, num = article_BC.device, len(article_BC)
        seed = self.generation.seed
        generators = [torch.Generator(device).manual_seed(seed_of(seed, name)) for name in names]
        choices = [generator_of(seed, name, "tokens") for name in names]
        predict = Predictor(self.network, article_BC, mask_BC, asked_B, self.guidance)
        shape = (num, self.length, self.network.vocabulary)
        simplex_BSV = gaussian(shape, generators, device).mul_(self.simplex.scale)
        before: Tensor | None = None
        for number, (step, after) in enumerate(pairwise(self.path)):
            share_BSV = self.self_conditioning.input(simplex_BSV, before)
            time = step / self.schedule.num_steps
            time_B = torch.full((num,), time, device=device, dtype=torch.float32)
            predicted = predict(share_BSV, time_B)
            self.cost.denoiser += predicted.num_passes
            before, logits_BSV = predicted.own_BSV, predicted.guided_BSV
            if num and self.steering and self.steering.control.is_due(number, time):
                moved = self.steering.steer(logits_BSV, asked_B, article_BC, mask_BC)
                logits_BSV = moved.logits_BSV
                self.cost.guide += moved.num_passes
                self.cost.num_broken += int(moved.is_broken_B.sum())
            before = logits_BSV if self.generation.carried == "guided" else before
            is_last = after == 0 and self.generation.last_greedy
            projection = Greedy() if is_last else self.generation.projection
            tokens = projection.project(logits_BSV, choices)
            yield Denoised(step, logits_BSV, tokens)
            if after:
                noise_BSV = gaussian(shape, generators, device)
                abar_B = torch.full((num,), self.signals[number + 1], dtype=widest(device))
                simplex_BSV = self.simplex.noised(tokens, noise_BSV, abar_B.to(device))
