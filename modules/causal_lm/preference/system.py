"""Direct preference optimisation as a Lightning system."""

from collections.abc import Collection
from typing import TypedDict

import torch
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable
from torch import Tensor
from typing_extensions import override

from modules.base.system import constant
from modules.causal_lm.generate import Generation
from modules.causal_lm.network import LanguageModel
from modules.causal_lm.preference.loss import dpo_loss, implicit_reward
from modules.causal_lm.preference.reference import ReferencedLM
from modules.nn.builder import Builder


class PreferenceBatch(TypedDict):
    """Pairs of answers, each answer with its prompt in a row of its own.

    P = pairs, B = 2 P rows: first the chosen answers of all pairs, then the rejected ones in the
    same order. L = longest row.

    Attributes:
        token_BL: Token ids, int64, padded with 0 at a row's end.
        label_BL: The token that follows each position; -100 but before tokens of the answer.
        position_BL: Position inside the conversation; the padding starts at 0 again.
        length_N: Lengths of conversation and padding, row after row; they sum to B * L.
        num_targets: Pairs that count; later ones, which only fill the batch, have no labels.
        step_targets: The same over all micro-batches of the optimizer step, on this rank.
    """

    token_BL: Tensor
    label_BL: Tensor
    position_BL: Tensor
    length_N: list[int]
    num_targets: int
    step_targets: int


QUANTITIES = ("loss", "accuracy", "margin", "chosen_log_p", "rejected_log_p")
"""What is logged of pairs, each a mean over pairs."""


class PreferenceLM(ReferencedLM):
    """Train a language model to prefer the chosen answer of pairs (Rafailov et al., 2023).

    The reference is the model as it was at the start. Dropout, where the config has any, is that of
    the policy alone. To begin from a tuned model, export it and name the folder as `source`.

    Args:
        network: Builds the language model from the size of the tokenizer.
        tokenizer: Local folder or hub id; the same as the data's.
        optimizer: Builds the optimizer from the trainable parameters.
        scheduler: Builds the learning-rate schedule from that optimizer.
        generation: How `predict` and the samples drawn while training choose tokens.
        compile: Whether to compile the network with torch.compile.
        beta: Weight of the KL divergence from the reference, above 0.

    Raises:
        ValueError: `beta` is not above 0.
    """

    def __init__(
        self,
        network: Builder[[int], LanguageModel],
        tokenizer: str,
        optimizer: OptimizerCallable = torch.optim.AdamW,
        scheduler: LRSchedulerCallable = constant,
        generation: Generation = Generation(),  # noqa: B008 - frozen
        compile: bool = False,
        beta: float = 0.1,
    ):
        super().__init__(network, tokenizer, optimizer, scheduler, generation, compile)
        if beta <= 0:
            raise ValueError(f"beta must be above 0, got {beta}")
        self.beta = beta
        self.meter.unit = "pairs"

    def training_step(self, batch: PreferenceBatch, batch_idx: int) -> Tensor:
        """Loss of equation 7, averaged over the pairs of the whole step."""
        totals = self._totals(batch)
        for name, total in zip(QUANTITIES, totals, strict=True):
            self.meter.add(name, total, batch["num_targets"])
        self.meter.num_targets += batch["num_targets"]
        return self.step_mean(totals[0], batch["step_targets"])

    def _totals(self, batch: PreferenceBatch) -> list[Tensor]:
        """The sum over pairs of each quantity."""
        rows = batch["token_BL"], batch["label_BL"], batch["position_BL"], batch["length_N"]
        reference_B = self.reference_log_p(rows).sum(1)
        log_p_B = self.language_model.log_p(rows, 1.0).sum(1)
        real = slice(batch["num_targets"])
        chosen_P, rejected_P = (half[real] for half in log_p_B.chunk(2))
        references = (half[real] for half in reference_B.chunk(2))
        reward_P = implicit_reward(chosen_P, next(references), self.beta)
        rejected_reward_P = implicit_reward(rejected_P, next(references), self.beta)
        margin_P = reward_P - rejected_reward_P
        others = (margin_P > 0).float(), margin_P, chosen_P, rejected_P
        return [dpo_loss(reward_P, rejected_reward_P), *(one.detach().sum() for one in others)]

    # Evaluation

    @override
    def validated(self) -> Collection[str]:
        return [f"validate/{name}" for name in QUANTITIES]

    @override
    def on_validation_epoch_start(self) -> None:
        """Start the sums of all quantities, and of pairs."""
        self.evaluation = self.sum_over_ranks(torch.zeros(len(QUANTITIES) + 1))

    @override
    def validation_step(self, batch: PreferenceBatch, batch_idx: int) -> None:
        """Add the quantities of a batch, and its pairs."""
        self.evaluation[:-1] += torch.stack(self._totals(batch))
        self.evaluation[-1] += batch["num_targets"]

    on_test_epoch_start = on_validation_epoch_start
    test_step = validation_step

    @override
    def _log_evaluation(self, stage: str) -> None:
        *totals, pairs = self.sum_over_ranks(self.evaluation).tolist()
        if pairs == 0:
            raise ValueError(f"{stage}: there was no pair")
        means = zip(QUANTITIES, totals, strict=True)
        self.report({f"{stage}/{name}": total / pairs for name, total in means})
