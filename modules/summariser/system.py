"""The simplex-diffusion summariser as a Lightning system (P^3Sum: Liu et al., 2024)."""

from typing import Any

import torch
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable
from torch import Tensor
from typing_extensions import override

from modules.base.system import constant
from modules.causal_lm.tokens.same_tokens import check_own_tokens
from modules.causal_lm.tokens.vocabulary import vocabulary_size
from modules.decoding.evaluate import Measure
from modules.diffusion.noise import gaussian
from modules.diffusion.schedule import CosineSchedule, Schedule
from modules.nn.builder import Builder
from modules.nn.generators import generator_of
from modules.summariser.batch import ArticleBatch
from modules.summariser.control import Control
from modules.summariser.findings.evaluation import EvaluatingSystem
from modules.summariser.generate import Generation
from modules.summariser.loss import token_loss
from modules.summariser.network.denoiser import Denoiser
from modules.summariser.simplex import SelfConditioning, Simplex, Tokens
from modules.summariser.stance_token import StanceToken
from modules.summariser.times import Noising, draw_steps, own_steps


class Summariser(EvaluatingSystem):
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
        stance_token: How the network is told the stance of its summary; None tells it nothing.
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
        stance_token: StanceToken | None = None,
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
        self.stance_token = stance_token
        self.measures = measures or []
        self.num_drawn = num_drawn
        self.check_measures()
        self.meter.unit = "articles"

    @override
    def build(self) -> Denoiser[Any]:
        network = self.make_network(vocabulary_size(self.tokenizer))
        check_own_tokens(self.tokenizer, network)
        if self.stance_token is not None:
            network.listen(len(self.stances))
        return network

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
        context = self.denoiser.repeat(self.read(batch, is_training=True), draws)
        use = self.sees_itself()
        logits_BSV = self.predict_tokens(token_BS, noise_BSV, step_B, context, use)
        return token_loss(logits_BSV, token_BS, self.counted(batch, draws)) / draws

    def read(self, batch: ArticleBatch, is_training: bool = False) -> Any:
        """The articles, told the stances of their own summaries, not all of them in training."""
        articles = batch["article_BC"], batch["article_mask_BC"]
        if self.teller is None:
            return self.denoiser.read(*articles)
        told_B = self.teller.learnt(batch)
        return self.denoiser.read(*articles, self.teller.dropped(told_B) if is_training else told_B)

    def noise(self, token_BS: Tensor) -> Tensor:
        """Standard normal noise for simplexes, [B, S, V]."""
        shape = (*token_BS.shape, self.denoiser.vocabulary)
        return torch.randn(shape, device=token_BS.device, dtype=torch.float32)

    def sees_itself(self) -> bool:
        """Whether the network is shown a prediction in this step, by chance.

        All ranks decide alike, though each has random numbers of its own: where they share the
        weights, they can only compute together.
        """
        u = torch.rand((), dtype=torch.float32)
        if self.num_ranks > 1:
            u = self.sum_over_ranks(u) % 1  # as uniform as each of them
        return bool(u < self.self_conditioning.probability)

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
        abar_B, time_B = self.schedule.signal(step_B), step_B.float() / self.schedule.num_steps
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
    def add_loss(self, batch: ArticleBatch) -> None:
        token_BS = batch["summary_BS"]
        generators = [generator_of(0, "validation", name) for name in batch["id_B"]]
        steps = (self.schedule.num_steps, self.noising.power)
        step_B = own_steps(generators, *steps).to(self.device)
        shape = (*token_BS.shape, self.denoiser.vocabulary)
        noise_BSV = gaussian(shape, generators, self.device)
        context = self.read(batch)
        use = self.self_conditioning.is_on
        logits_BSV = self.predict_tokens(token_BS, noise_BSV, step_B, context, use)
        counts_BS = batch["summary_mask_BS"]
        if self.learn_padding:  # but for articles without a summary
            counts_BS = counts_BS.any(1, keepdim=True).expand_as(counts_BS)
        self.evaluation[0] += token_loss(logits_BSV, token_BS, counts_BS)
        self.evaluation[1] += counts_BS.sum()
