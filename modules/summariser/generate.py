"""Summaries from noise: the steps of diffusion, steered (P^3Sum, sec. 3.2).

Each step predicts the tokens from what the process shows of its state, moves the predicted logits
towards the stance, projects them onto tokens, and takes the process one step on. Blocks are written
one after the other, each with all its steps, up to the one that ends its summary.

Shape legend: B = summaries, C = article positions, S = positions, K = positions of a block,
V = vocabulary, R = summaries that have not ended.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Literal

import torch
from torch import Tensor

from modules.diffusion.guidance import Guidance
from modules.diffusion.schedule import widest
from modules.diffusion.timesteps import Spacing, spaced
from modules.nn.generators import generator_of, seed_of
from modules.summariser.blocks import check_size, spans
from modules.summariser.network.denoiser import Denoiser
from modules.summariser.orders import Orders
from modules.summariser.processes.diffusion import Diffusion
from modules.summariser.processes.process import Process, Tokens
from modules.summariser.processes.projection import Greedy, MultiHot, Projection, TopP, closed
from modules.summariser.steering.control import Steering
from modules.summariser.steering.guide import ArticleLogits
from modules.summariser.steering.stance_token import Predictor

Carried = Literal["unguided", "guided"]
"""Which logits self-conditioning shows at the next step: P^3Sum's, or TESS-2's."""


@dataclass(frozen=True)
class Generation:
    """How summaries are drawn.

    Attributes:
        num_steps: Steps of diffusion, each a pass of the network; of each block.
        spacing: Which of the schedule's steps these are.
        projection: How tokens are chosen after a step.
        last_greedy: Whether the last step takes the most likely tokens, whatever the projection.
        pads_after_end: Whether padding takes the place of what is projected after the first end
            mark, for networks that did not learn padding.
        carried: Which logits self-conditioning shows: before all guidance or after it.
        seed: Of all noise; a summary's noise depends on it and on the article's id alone.
    """

    num_steps: int = 50
    spacing: Spacing = "trailing"
    projection: Projection = field(default_factory=TopP)
    last_greedy: bool = True
    pads_after_end: bool = False
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
    """The state after a step.

    Attributes:
        step: t, before the step.
        logits_BSV: Predicted logits, steered.
        tokens: Tokens that they were projected onto.
        token_BS: All summaries as they would read now; of several tokens the most likely.
    """

    step: int
    logits_BSV: Tensor
    tokens: Tokens
    token_BS: Tensor


class SummarySampler:
    """Draws summaries with a network.

    Args:
        network: Predicts tokens.
        diffusion: As in training.
        generation: Options.
        length: S.
        steering: Control with its classifiers; None leaves summaries as they come.
        guidance: Of a network conditioned on stances; None for an unconditional one.

    Raises:
        ValueError: Options that cannot be combined, too many steps, or none that is steered; or a
            guide sees what the network predicts of articles, and it predicts nothing.
    """

    def __init__(
        self,
        network: Denoiser[Any],
        diffusion: Diffusion,
        generation: Generation,
        length: int,
        steering: Steering | None = None,
        guidance: Guidance | None = None,
    ):
        self.network, self.diffusion, self.generation = network, diffusion, generation
        self.length, self.guidance = length, guidance
        self.alphabet = diffusion.alphabet(network.vocabulary)
        self.steering = steering if steering is not None and steering.control.is_on else None
        check_size(length, diffusion.block_size)
        averages_logits = diffusion.self_conditioning.averages_logits
        diffusion.process.check(isinstance(generation.projection, MultiHot), averages_logits)
        num_steps = diffusion.schedule.num_steps
        self.sees_predictions = self.steering is not None and self.steering.sees_predictions
        if self.sees_predictions and not network.predicts_articles:
            raise ValueError(
                f"a guide sees `predicted`, but {type(network).__name__} predicts no tokens of "
                "articles: let it see `summary` or `article_and_summary`"
            )
        self.path = spaced(generation.num_steps, generation.spacing, num_steps)
        if self.steering is not None:
            self.steering.control.check_due([step / num_steps for step in self.path[:-1]])
        signals: list[float] = diffusion.schedule.signal(torch.tensor(self.path)).tolist()
        self.signals = signals
        self.cost = Cost()

    @property
    def num_steps(self) -> int:
        """Steps from noise to a whole summary, those of all blocks."""
        return (len(self.path) - 1) * len(spans(self.length, self.diffusion.block_size))

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
            watch: Sees the state after each step, and changes nothing.
        """
        for state in self.states(article_BC, mask_BC, asked_B, names):
            last = state
            if watch is not None:
                watch(state)
        return last.token_BS

    @torch.no_grad()
    def states(
        self, article_BC: Tensor, mask_BC: Tensor, asked_B: Tensor, names: Sequence[str]
    ) -> Iterator[Denoised]:
        """The state after each step; arguments as of `draw`.

        Blocks come one after the other; a summary that has ended takes no part in later ones.
        """
        device, seed, marks = article_BC.device, self.generation.seed, self.diffusion.marks
        noise = [torch.Generator(device).manual_seed(seed_of(seed, name)) for name in names]
        choices = [generator_of(seed, name, "tokens") for name in names]
        orders = Orders(article_BC, mask_BC, asked_B, noise, choices)
        token_BS = article_BC.new_full((len(article_BC), self.length), marks.pad)
        row_R = torch.arange(len(article_BC), device=device)
        for span in spans(self.length, self.diffusion.block_size):
            written_RW = token_BS[row_R, : span.start]
            for step, logits, tokens in self.block(orders.rows(row_R), written_RW, span):
                token_BS = token_BS.clone()
                token_BS[row_R, span] = tokens.first
                yield Denoised(step, logits, tokens, token_BS)
            row_R = row_R[~marks.are_over(token_BS[row_R, span]).any(1)]

    def block(
        self, orders: Orders, written_BW: Tensor, span: slice
    ) -> Iterator[tuple[int, Tensor, Tokens]]:
        """Steps, predicted logits [B, K, V] and tokens of one block, after what is written.

        With no summary left it goes through all steps as well: ranks that share the weights
        compute together.
        """
        steering = self.steering if len(written_BW) else None
        articles = orders.article_BC, orders.mask_BC, orders.asked_B
        how = self.guidance, written_BW, self.sees_predictions
        predict = Predictor(self.network, *articles, *how)
        state = self.process.start(self.noise(orders, span))
        before: Tensor | None = None
        for number, (step, after) in enumerate(pairwise(self.path)):
            time = step / self.diffusion.schedule.num_steps
            before, logits_BKV = self.predicted(predict, state, before, time)
            if steering is not None and steering.control.is_due(number, time):
                seen = written_BW, predict.article_logits
                logits_BKV = self.steered(steering, orders, logits_BKV, *seen)
            before = logits_BKV if self.generation.carried == "guided" else before
            tokens = self.projected(logits_BKV, orders, is_last=after == 0)
            yield step, logits_BKV, tokens
            if after:
                state = self.later(state, tokens, self.noise(orders, span), number)

    @property
    def process(self) -> Process:
        """How summaries are corrupted."""
        return self.diffusion.process

    def noise(self, orders: Orders, span: slice) -> Tensor:
        """Random numbers for one state of a block, each summary's from its own generator."""
        shape = (len(orders.noise), span.stop - span.start)
        return self.process.noise(shape, self.alphabet, orders.noise, orders.article_BC.device)

    def predicted(
        self, predict: Predictor, state: Tensor, before: Tensor | None, time: float
    ) -> tuple[Tensor, Tensor]:
        """Logits of the clean tokens as the network has them, and after guidance, [B, K, V] each.

        Args:
            predict: The network with its articles.
            state: Of the process.
            before: What self-conditioning shows.
            time: t / T.
        """
        time_B = torch.full((len(state),), time, device=state.device, dtype=torch.float32)
        found = predict(self.diffusion.seen(state, before, self.alphabet), time_B)
        self.cost.denoiser += found.num_passes
        own_BKV = self.process.predicted(found.own_BSV, state, self.alphabet)
        return own_BKV, self.process.predicted(found.guided_BSV, state, self.alphabet)

    def steered(
        self,
        steering: Steering,
        orders: Orders,
        logits_BKV: Tensor,
        written_BW: Tensor,
        predicted: ArticleLogits,
    ) -> Tensor:
        """Logits after control, whose classifiers read what is written before as well."""
        given = orders.asked_B, orders.article_BC, orders.mask_BC, predicted, written_BW
        moved = steering.steer(logits_BKV, *given)
        self.cost.guide += moved.num_passes
        self.cost.num_broken += int(moved.is_broken_B.sum())
        return moved.logits_BSV

    def projected(self, logits_BKV: Tensor, orders: Orders, is_last: bool) -> Tokens:
        """Tokens of a block."""
        is_greedy = is_last and self.generation.last_greedy
        projection = Greedy() if is_greedy else self.generation.projection
        tokens = projection.project(logits_BKV, orders.choices)
        return closed(tokens, self.diffusion.marks) if self.generation.pads_after_end else tokens

    def later(self, state: Tensor, tokens: Tokens, noise: Tensor, number: int) -> Tensor:
        """The state after a step, from the step's number."""
        left_B, after_B = (
            torch.full((len(state),), self.signals[n], dtype=widest(state.device)).to(state.device)
            for n in (number, number + 1)
        )
        return self.process.step(state, tokens, noise, left_B, after_B)
