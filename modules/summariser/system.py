"""The simplex-diffusion summariser as a Lightning system (P^3Sum: Liu et al., 2024)."""

from collections.abc import Sequence
from typing import Any

import torch
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable
from torch import Tensor
from typing_extensions import override

from modules.base.system import constant
from modules.causal_lm.tokens.same_tokens import check_own_tokens
from modules.causal_lm.tokens.vocabulary import vocabulary_size
from modules.decoding.evaluate import Measure
from modules.diffusion.noise import Generators
from modules.diffusion.schedule import CosineSchedule, Schedule
from modules.nn.builder import Builder
from modules.nn.generators import generator_of
from modules.summariser.batch import ArticleBatch
from modules.summariser.blocks import Part, in_blocks
from modules.summariser.export import ExportedSummariser
from modules.summariser.findings.trace import Trace
from modules.summariser.generate import Generation
from modules.summariser.loss import token_loss
from modules.summariser.network.denoiser import Denoiser
from modules.summariser.processes.process import Process
from modules.summariser.processes.projection import uniforms
from modules.summariser.processes.simplex import SelfConditioning, Simplex
from modules.summariser.processes.times import Noising, draw_steps, own_steps
from modules.summariser.steering.control import Control
from modules.summariser.steering.stance_token import StanceToken


class Summariser(ExportedSummariser):
    """Train a network to denoise summaries, and draw them towards a stance.

    Args:
        network: Builds the network from the size of the tokenizer; called once, under the
            strategy's own context.
        tokenizer: Local folder or hub id; the same as the data's.
        stances: Names of the stances, by index; the same as the data's.
        process: What a summary becomes at a step, and how generation goes back.
        schedule: Signal left at each diffusion step.
        self_conditioning: What the network sees of its last prediction.
        block_size: Positions that are written together, block after block; None for the whole
            summary at once.
        noising: Steps and noise in training.
        learn_padding: Whether padding counts in the loss, so that the network decides the length.
        generation: How summaries are drawn.
        control: Classifiers that steer them; none where it has no guides.
        stance_token: How the network is conditioned on the stance of its summary; None: it is not.
        trace: Which summaries of a test or prediction are followed while they are drawn, written as
            JSON lines and pictures; None follows none.
        measures: What validation and test compute of drawn summaries.
        num_drawn: Articles of a validation that are summarised, on each rank; 0 for the loss alone.
            A test summarises all.
        optimizer: Builds the optimizer from the trainable parameters.
        scheduler: Builds the learning-rate schedule from that optimizer.
        compile: Whether to compile the network with torch.compile.
    """

    def __init__(
        self,
        network: Builder[[int], Denoiser[Any]],
        tokenizer: str,
        stances: list[str] = ["left", "center", "right"],  # noqa: B006 - never changed
        process: Process = Simplex(),  # noqa: B008 - frozen
        schedule: Schedule = CosineSchedule(5000, offset=1e-4, max_beta=1.0),  # noqa: B008 - frozen
        self_conditioning: SelfConditioning = SelfConditioning(),  # noqa: B008 - frozen
        block_size: int | None = None,
        noising: Noising = Noising(),  # noqa: B008 - frozen
        learn_padding: bool = True,
        generation: Generation = Generation(),  # noqa: B008 - frozen
        control: Control = Control(),  # noqa: B008 - frozen
        stance_token: StanceToken | None = None,
        trace: Trace | None = None,
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
        self.process, self.schedule = process, schedule
        self.self_conditioning, self.noising = self_conditioning, noising
        self.block_size = block_size
        self.learn_padding = learn_padding
        self.generation, self.control = generation, control
        self.stance_token = stance_token
        self.trace = trace
        self.measures = measures or []
        self.num_drawn = num_drawn
        self.check_measures()
        self.meter.unit = "articles"

    @override
    def build(self) -> Denoiser[Any]:
        network = self.make_network(vocabulary_size(self.tokenizer))
        check_own_tokens(self.tokenizer, network)
        if self.stance_token is not None:
            network.add_stance_embedding(len(self.stances))
        return network

    # Training

    @override
    def on_fit_start(self) -> None:
        super().on_fit_start()
        if self.stance_token is not None:
            self.stance_token.check(getattr(self.trainer, "datamodule", None))

    def training_step(self, batch: ArticleBatch, batch_idx: int) -> Tensor:
        """Cross-entropy of the summaries' tokens, averaged over those of the whole step."""
        total, num = self.training_loss(batch), batch["num_targets"]
        self.meter.add("loss", total, num[self.counted])
        self.meter.num_targets += num["articles"]
        return self.step_mean(total, batch["step_targets"][self.counted])

    @property
    def counted(self) -> str:
        """What the loss is averaged over: the targets of this name, which are all ever noised."""
        if not self.learn_padding:
            return "tokens"
        return "positions" if self.block_size is None else f"positions_{self.block_size}"

    def training_loss(self, batch: ArticleBatch) -> Tensor:
        """Sum over the tokens of the batch, each averaged over its noised copies (sec. 3.1)."""
        draws = self.noising.draws
        token_BS = batch["summary_BS"].repeat_interleave(draws, 0)
        steps = (len(token_BS), self.schedule.num_steps, self.noising.power)
        step_B = draw_steps(*steps, device=self.device)
        mask_BS = batch["summary_mask_BS"].repeat_interleave(draws, 0)
        part = self.part(token_BS, mask_BS, None if self.learn_padding else mask_BS)
        noise = self.noise(part.token_BK)
        context = self.denoiser.repeat(self.read(batch, is_training=True), draws)
        context = self.extended(context, token_BS, part)
        part, logits_BKV = self.predict_tokens(part, noise, step_B, context, self.sees_itself())
        return token_loss(logits_BKV, part.token_BK, part.weight_BK) / draws

    def read(self, batch: ArticleBatch, is_training: bool = False) -> Any:
        """The articles, conditioned on stances of their own summaries, not always in training."""
        articles = batch["article_BC"], batch["article_mask_BC"]
        if self.open_stance_token is None:
            return self.denoiser.read(*articles)
        condition_B = self.open_stance_token.of_references(batch)
        if is_training:
            condition_B = self.open_stance_token.dropped(condition_B)
        return self.denoiser.read(*articles, condition_B)

    def part(
        self,
        token_BS: Tensor,
        mask_BS: Tensor,
        counts_BS: Tensor | None,
        generators: Sequence[torch.Generator] | None = None,
    ) -> Part:
        """What of summaries is noised, and how much of it counts.

        Args:
            token_BS: Clean tokens.
            mask_BS: True on tokens and the end.
            counts_BS: Positions that count in the loss; None for all.
            generators: Where the choice of a block comes from, one a summary; None for torch's own.
        """
        whole = Part(token_BS, None if counts_BS is None else counts_BS.float())
        if self.block_size is None:
            return whole
        if generators is None:
            u_B = torch.rand(len(token_BS), device=self.device, dtype=torch.float32)
        else:
            u_B = uniforms(generators, 1, self.device)[:, 0]
        return whole.block(mask_BS, self.block_size, u_B)

    def noise(self, token_BS: Tensor, generators: Generators = None) -> Tensor:
        """Random numbers for the corruption of summaries."""
        shape = (token_BS.shape[0], token_BS.shape[1])
        return self.process.noise(shape, self.alphabet, generators, self.device)

    def sees_itself(self) -> bool:
        """Whether the network is shown a prediction in this step, by chance.

        All ranks decide alike, though each has random numbers of its own: where they share the
        weights, they can only compute together.
        """
        u = torch.rand((), dtype=torch.float32)
        if self.num_ranks > 1:
            u = self.sum_over_ranks(u) % 1  # as uniform as each of them
        return bool(u < self.self_conditioning.probability)

    def extended(self, context: Any, token_BS: Tensor, part: Part) -> Any:
        """The context of a part: of the articles, and of what is written before it."""
        if part.written_BS is None:
            return context
        return self.denoiser.extended(context, token_BS, part.written_BS)

    def predict_tokens(
        self, part: Part, noise: Tensor, step_B: Tensor, context: Any, conditioned: bool
    ) -> tuple[Part, Tensor]:
        """Logits of the clean tokens, [B, K, V], from parts noised to their steps.

        Args:
            part: What is noised.
            noise: From `noise`; may be overwritten.
            step_B: Steps t.
            context: Of the articles and of what is written.
            conditioned: Whether the network also sees what it predicts without seeing it.

        Returns:
            The part with the process's weights, and the logits.
        """
        schedule = self.schedule
        left_B, time_B = schedule.signal(step_B), step_B.float() / schedule.num_steps
        state = self.process.corrupted(part.token_BK, noise, left_B)
        before: Tensor | None = None
        if conditioned:
            with torch.no_grad():
                before = self.predicted(state, None, time_B, context)
        logits_BKV = self.predicted(state, before, time_B, context)
        chance_B = self.noising.chance(step_B, schedule.num_steps)
        weight_BK = self.process.weights(state, left_B, schedule.signal(step_B - 1), chance_B)
        return part.weighted(weight_BK), logits_BKV

    def predicted(
        self, state: Tensor, before_BKV: Tensor | None, time_B: Tensor, context: Any
    ) -> Tensor:
        """What the network predicts of a state, having predicted something before or not."""
        share_BKV = self.diffusion.seen(state, before_BKV, self.alphabet)
        logits: Tensor = self.denoiser(share_BKV, time_B, context)
        return self.process.predicted(logits, state, self.alphabet)

    # Evaluation

    @override
    def add_loss(self, batch: ArticleBatch) -> None:
        token_BS = batch["summary_BS"]
        generators = [generator_of(0, "validation", name) for name in batch["id_B"]]
        steps = (self.schedule.num_steps, self.noising.power)
        step_B = own_steps(generators, *steps).to(self.device)
        mask_BS = counts_BS = batch["summary_mask_BS"]
        if self.learn_padding:  # but for articles without a summary
            counts_BS = mask_BS.any(1, keepdim=True) & in_blocks(mask_BS, self.block_size)
        part = self.part(token_BS, mask_BS, counts_BS, generators)
        noise = self.noise(part.token_BK, generators)
        context = self.extended(self.read(batch), token_BS, part)
        use = self.self_conditioning.is_on
        part, logits_BKV = self.predict_tokens(part, noise, step_B, context, use)
        self.evaluation[0] += token_loss(logits_BKV, part.token_BK, part.weight_BK)
        self.evaluation[1] += counts_BS.sum()
