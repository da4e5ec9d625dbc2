"""The simplex-diffusion summariser as a Lightning system (P^3Sum: Liu et al., 2024)."""

from collections.abc import Collection, Sequence
from typing import Any

import torch
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable
from torch import Tensor
from typing_extensions import override

from modules.base.system import System, constant
from modules.base.tokenized import Tokenized
from modules.causal_lm.tokens.padding import padded
from modules.causal_lm.tokens.same_tokens import check_own_tokens
from modules.causal_lm.tokens.vocabulary import vocabulary_size
from modules.decoding.evaluate import Answered, Measure
from modules.diffusion.noise import gaussian
from modules.diffusion.schedule import CosineSchedule, Schedule
from modules.metrics.means import Means
from modules.nn.builder import Builder
from modules.nn.generators import generator_of
from modules.summariser.batch import ArticleBatch
from modules.summariser.control import Control, Steering
from modules.summariser.evaluate import StanceKept
from modules.summariser.generate import Generation, SummarySampler
from modules.summariser.guide import OpenGuide
from modules.summariser.loss import token_loss
from modules.summariser.marks import Marks
from modules.summariser.network.denoiser import Denoiser
from modules.summariser.simplex import SelfConditioning, Simplex, Tokens
from modules.summariser.times import Noising, draw_steps, own_steps

UNKNOWN = -100
"""A stance that nobody knows."""
LONGEST = 100
"""Tokens of what is summarised without data, where the network says nothing."""
COUNT = "_count"
"""Ending of the names of numbers of summaries that have a quantity."""
QUESTION = ("id", "article", "stance", "asked")
"""What measures know of a summary besides its text and its reference."""
LENGTHS = ("article_length", "summary_length")
"""Options of the data that the network must have positions for."""


class Summariser(Tokenized, System):
    """Train a network to denoise summaries, and draw them towards a stance.

    Args:
        network: Builds the network from the size of the tokenizer; called once, under the
            strategy's own context.
        tokenizer: Local folder or hub id; the same as the data's.
        stances: Names of the stances, by index; the same as the data's.
        simplex: Magnitude of logits and noise.
        schedule: Signal left at each diffusion step.
        self_conditioning: What the network sees of its last prediction.
        noising: Steps and noise in training.
        learn_padding: Whether padding counts in the loss, so that the network decides the length.
        generation: How summaries are drawn.
        control: Classifiers that steer them; none where it has no guides.
        measures: What validation and test compute of drawn summaries.
        num_drawn: Articles of a validation that are summarised, on each rank; 0 for the loss alone.
            A test summarises all.
        optimizer: Builds the optimizer from the trainable parameters.
        scheduler: Builds the learning-rate schedule from that optimizer.
        compile: Whether to compile the network with torch.compile.
    """

    no_export = (
        "no format of others holds a network that denoises simplexes; the checkpoint holds it whole"
    )

    def __init__(
        self,
        network: Builder[[int], Denoiser[Any]],
        tokenizer: str,
        stances: list[str] = ["left", "center", "right"],  # noqa: B006 - never changed
        simplex: Simplex = Simplex(),  # noqa: B008 - frozen
        schedule: Schedule = CosineSchedule(5000, offset=1e-4, max_beta=1.0),  # noqa: B008 - frozen
        self_conditioning: SelfConditioning = SelfConditioning(),  # noqa: B008 - frozen
        noising: Noising = Noising(),  # noqa: B008 - frozen
        learn_padding: bool = True,
        generation: Generation = Generation(),  # noqa: B008 - frozen
        control: Control = Control(),  # noqa: B008 - frozen
        measures: list[Measure] | None = None,
        num_drawn: int = 64,
        optimizer: OptimizerCallable = torch.optim.AdamW,
        scheduler: LRSchedulerCallable = constant,
        compile: bool = False,
    ):
        super().__init__(optimizer, scheduler, compile)
        self.save_hyperparameters()
        self.make_network = network
        self.tokenizer_source = tokenizer
        self.stances = list(stances)
        self.simplex, self.schedule = simplex, schedule
        self.self_conditioning, self.noising = self_conditioning, noising
        self.learn_padding = learn_padding
        self.generation, self.control = generation, control
        self.measures = measures or []
        self.num_drawn = num_drawn
        self._steering: Steering | None = None
        self.meter.unit = "articles"

    @override
    def build(self) -> Denoiser[Any]:
        network = self.make_network(vocabulary_size(self.tokenizer))
        check_own_tokens(self.tokenizer, network)
        return network

    @property
    def denoiser(self) -> Denoiser[Any]:
        """The network, once it is built."""
        assert isinstance(self.network, Denoiser)
        return self.network

    @property
    def marks(self) -> Marks:
        """Marks of the tokenizer."""
        return Marks.of(self.tokenizer)

    @override
    def on_fit_start(self) -> None:
        """Refuse lengths that the network has no positions for, before the first step."""
        super().on_fit_start()
        self.denoiser.check_lengths(*self.lengths())

    # Training

    def training_step(self, batch: ArticleBatch, batch_idx: int) -> Tensor:
        """Cross-entropy of the summaries' tokens, averaged over those of the whole step."""
        total, num = self.training_loss(batch), batch["num_targets"]
        kind = "positions" if self.learn_padding else "tokens"
        self.meter.add("loss", total, num[kind])
        self.meter.num_targets += num["articles"]
        return self.step_mean(total, batch["step_targets"][kind])

    def training_loss(self, batch: ArticleBatch) -> Tensor:
        """Sum over the tokens of the batch, each averaged over its noised copies (sec. 3.1)."""
        draws = self.noising.draws
        token_BS = batch["summary_BS"].repeat_interleave(draws, 0)
        steps = (len(token_BS), self.schedule.num_steps, self.noising.power)
        step_B = draw_steps(*steps, device=self.device)
        noise_BSV = self.noise(token_BS)
        context = self.denoiser.read(batch["article_BC"], batch["article_mask_BC"])
        context = self.denoiser.repeat(context, draws)
        use = bool(torch.rand(()) < self.self_conditioning.probability)
        logits_BSV = self.predict_tokens(token_BS, noise_BSV, step_B, context, use)
        return token_loss(logits_BSV, token_BS, self.counted(batch, draws)) / draws

    def noise(self, token_BS: Tensor) -> Tensor:
        """Standard normal noise for simplexes, [B, S, V]."""
        shape = (*token_BS.shape, self.denoiser.vocabulary)
        return torch.randn(shape, device=token_BS.device)

    def counted(self, batch: ArticleBatch, draws: int = 1) -> Tensor | None:
        """Positions that count in the loss; None for all."""
        if self.learn_padding:
            return None
        return batch["summary_mask_BS"].repeat_interleave(draws, 0)

    def predict_tokens(
        self, token_BS: Tensor, noise_BSV: Tensor, step_B: Tensor, context: Any, conditioned: bool
    ) -> Tensor:
        """Logits of the clean tokens, [B, S, V], from summaries noised to their steps.

        Args:
            token_BS: Clean tokens.
            noise_BSV: Standard normal noise; overwritten.
            step_B: Steps t.
            context: Of the articles.
            conditioned: Whether the network also sees what it predicts without seeing it.
        """
        abar_B, time_B = self.schedule.signal(step_B), step_B / self.schedule.num_steps
        simplex_BSV = self.simplex.noised(Tokens.one(token_BS), noise_BSV, abar_B)
        before: Tensor | None = None
        if conditioned:
            with torch.no_grad():
                share_BSV = self.self_conditioning.input(simplex_BSV, None)
                before = self.denoiser(share_BSV, time_B, context)
        share_BSV = self.self_conditioning.input(simplex_BSV, before)
        logits: Tensor = self.denoiser(share_BSV, time_B, context)
        return logits

    # Evaluation

    @override
    def validated(self) -> Collection[str]:
        drawn = ["summaries", *self.quantities] if self.num_drawn else []
        return [f"validate/{name}" for name in ("loss", *drawn)]

    @property
    def quantities(self) -> list[str]:
        """Names of what is measured of drawn summaries, in order."""
        return [name for one in self.measures for name in one.names]

    def on_validation_epoch_start(self) -> None:
        """Start the sums."""
        self.evaluation = self.sum_over_ranks(torch.zeros(2))
        self.means = Means(self.quantities, self.device)
        self.num_left = self.num_drawn

    def validation_step(self, batch: ArticleBatch, batch_idx: int) -> None:
        """Add the loss at fixed steps and noise of each article, and measure some summaries."""
        self.add_loss(batch)
        if self.num_left and self.measures:
            some = cut(batch, self.num_left)
            self.num_left -= len(some["id_B"])
            self.measure(some)

    def add_loss(self, batch: ArticleBatch) -> None:
        """Add the loss of a batch, which depends neither on its other articles nor on ranks."""
        if not batch["id_B"]:
            return
        token_BS = batch["summary_BS"]
        generators = [generator_of(0, "validation", name) for name in batch["id_B"]]
        steps = (self.schedule.num_steps, self.noising.power)
        step_B = own_steps(generators, *steps).to(self.device)
        shape = (*token_BS.shape, self.denoiser.vocabulary)
        noise_BSV = gaussian(shape, generators, self.device)
        context = self.denoiser.read(batch["article_BC"], batch["article_mask_BC"])
        use = self.self_conditioning.is_on
        logits_BSV = self.predict_tokens(token_BS, noise_BSV, step_B, context, use)
        counts_BS = batch["summary_mask_BS"]
        if self.learn_padding:  # but for articles without a summary
            counts_BS = counts_BS.any(1, keepdim=True).expand_as(counts_BS)
        self.evaluation[0] += token_loss(logits_BSV, token_BS, counts_BS)
        self.evaluation[1] += counts_BS.sum()

    def measure(self, batch: ArticleBatch) -> None:
        """Draw the summaries of a batch and measure them."""
        if not batch["id_B"]:
            return
        asked_B = self.wanted(batch)
        texts, names = self.texts(self.draw(batch, asked_B)), self.names
        columns = (batch["id_B"], batch["article_B"], names(batch["stance_B"]), names(asked_B))
        questions = [dict(zip(QUESTION, row, strict=True)) for row in zip(*columns, strict=True)]
        known = [[one] if one else [] for one in batch["reference_B"]]
        answers = [Answered(*one) for one in zip(questions, texts, known, strict=True)]
        scores = [measure.score(answers) for measure in self.measures]
        self.means.add({name: values for one in scores for name, values in one.items()})

    def on_validation_epoch_end(self) -> None:
        """Log the exact means over all ranks."""
        self._log_evaluation("validate")

    on_test_epoch_start = on_validation_epoch_start

    def test_step(self, batch: ArticleBatch, batch_idx: int) -> None:
        """Add the loss of a batch, and measure all its summaries."""
        self.add_loss(batch)
        self.measure(batch)

    def on_test_epoch_end(self) -> None:
        """Log the exact means over all ranks."""
        self._log_evaluation("test")

    def _log_evaluation(self, stage: str) -> None:
        total, num = self.sum_over_ranks(self.evaluation).tolist()
        row = {"loss": total / num} if num else {}
        found = self.means.row(self.sum_over_ranks(self.means.sums))
        counts = [value for name, value in found.items() if name.endswith(COUNT)]
        row |= {name: value for name, value in found.items() if not name.endswith(COUNT)}
        row |= {"summaries": max(counts)} if counts else {}
        self.report({f"{stage}/{name}": value for name, value in row.items()})

    # Summaries

    def summaries(self, length: int) -> SummarySampler:
        """What draws summaries of a length with this system's options."""
        how = self.simplex, self.schedule, self.self_conditioning, self.generation
        return SummarySampler(self.denoiser, *how, length, self.steering)

    @property
    def steering(self) -> Steering | None:
        """Control with its classifiers, loaded when first needed; None without guides."""
        if not self.control.is_on:
            return None
        if self._steering is None or self._steering.control is not self.control:
            guides = [one.open(self.tokenizer, self.stances) for one in self.control.guides]
            self._steering = Steering(self.control, [one.to(self.device) for one in guides])
        return self._steering

    def wanted(self, batch: ArticleBatch) -> Tensor:
        """Stance that each summary shall have; where none is known, what the guide reads, [B]."""
        asked_B, guide = batch["asked_B"], self.stance_guide
        if guide is None or not bool((asked_B < 0).any()):
            return asked_B
        read_B = guide.read(batch["article_BC"], batch["article_mask_BC"]).argmax(-1)
        return torch.where(asked_B < 0, read_B, asked_B)

    @property
    def stance_guide(self) -> OpenGuide | None:
        """The first guide that reads stances."""
        guides = self.steering.guides if self.steering else []
        return next((one for one in guides if one.guide.target is None), None)

    def draw(self, batch: ArticleBatch, asked_B: Tensor) -> Tensor:
        """Tokens of the summaries of a batch, [B, S]."""
        sampler = self.summaries(batch["summary_BS"].shape[1])
        article = batch["article_BC"], batch["article_mask_BC"]
        return sampler.draw(*article, asked_B, batch["id_B"])

    def texts(self, token_BS: Tensor) -> list[str]:
        """Summaries as texts."""
        return [self.marks.text(self.tokenizer, row) for row in token_BS.tolist()]

    def sample(self, prompts: list[str]) -> list[str]:
        """Articles with their summaries, each in the stance that the guide reads in the article.

        Args:
            prompts: The articles; they are cut as the data cut theirs.
        """
        marks, (longest, length) = self.marks, self.lengths()
        found = self.tokenizer(prompts, add_special_tokens=False)["input_ids"]
        rows = [[marks.start, *row[: longest - 2], marks.end] for row in found]
        article_BC, mask_BC = padded(rows, left=False, device=self.device, pad=marks.pad)
        asked_B = torch.full((len(rows),), UNKNOWN, device=self.device)
        if (guide := self.stance_guide) is not None:
            asked_B = guide.read(article_BC, mask_BC.bool()).argmax(-1)
        sampler = self.summaries(length)
        texts = self.texts(sampler.draw(article_BC, mask_BC.bool(), asked_B, prompts))
        return [f"{prompt}\n\n{text}" for prompt, text in zip(prompts, texts, strict=True)]

    def lengths(self) -> tuple[int, int]:
        """Most tokens of an article and positions of a summary, as the data have them."""
        data = getattr(self.trainer, "datamodule", None)
        article, summary = (getattr(data, name, None) for name in LENGTHS)
        return int(article or LONGEST), int(summary or self.denoiser.longest_summary or LONGEST)

    def names(self, stance_B: Tensor) -> list[str]:
        """Names of stances; empty where unknown."""
        return ["" if one < 0 else self.stances[one] for one in stance_B.tolist()]

    def predict_step(self, batch: ArticleBatch, batch_idx: int) -> list[dict[str, Any]]:
        """Summarise articles; one record each, with what guide and judges read before and after."""
        if not batch["id_B"]:
            return []
        asked_B = self.wanted(batch)
        texts = self.texts(self.draw(batch, asked_B))
        columns: dict[str, Sequence[Any]] = {
            "id": batch["id_B"],
            "article": batch["article_B"],
            "stance": self.names(batch["stance_B"]),
            "asked": self.names(asked_B),
            "summary": texts,
        }
        readers = {one.name: one for one in self.measures if isinstance(one, StanceKept)}
        for name, reader in readers.items():
            columns[f"{name}_article"] = reader.named(batch["article_B"])
            columns[f"{name}_summary"] = reader.named(texts)
        return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def cut(batch: ArticleBatch, num: int) -> ArticleBatch:
    """The first articles of a batch."""
    some: Any = {
        name: value[:num] if isinstance(value, Tensor | Sequence) else value
        for name, value in batch.items()
    }
    batch = some
    return batch
