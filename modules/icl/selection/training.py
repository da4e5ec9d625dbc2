"""One pass of Adam over selected documents, from the weights that a selection starts with."""

from collections.abc import Mapping, Sequence
from random import Random

import torch
from torch import Tensor

from modules.causal_lm.loss import IGNORE
from modules.causal_lm.network import LanguageModel
from modules.icl.selection.options import SelectionOptions
from modules.icl.selection.pool import CandidatePool
from modules.icl.selection.scoring import token_losses

Weights = Mapping[str, Tensor]
"""Trainable parameters by name."""


def trained(language_model: LanguageModel) -> dict[str, Tensor]:
    """A copy of the trainable parameters."""
    named = language_model.named_parameters()
    return {name: p.detach().clone() for name, p in named if p.requires_grad}


@torch.no_grad()
def restore(language_model: LanguageModel, weights: Weights) -> None:
    """Put copied parameters back."""
    parameters = dict(language_model.named_parameters())
    for name, value in weights.items():
        parameters[name].copy_(value)


def train_on(
    language_model: LanguageModel,
    pool: CandidatePool,
    documents: Sequence[int],
    options: SelectionOptions,
) -> None:
    """Train on each document once, in an order that only depends on which they are.

    Every rank trains on all of them and reaches the same weights, as they are few.

    Args:
        language_model: Changed in place; in evaluation mode, so that nothing is drawn.
        pool: The documents.
        documents: Their indices.
        options: Learning rate and documents a step.
    """
    order = sorted(documents)
    Random(len(order)).shuffle(order)
    parameters = [p for p in language_model.parameters() if p.requires_grad]
    adam = torch.optim.Adam(parameters, lr=options.learning_rate)
    size = options.documents_per_step
    for start in range(0, len(order), size):
        adam.zero_grad()
        batch = pool.batch(pool.rows(order[start : start + size], options.are_packed))
        num_targets = int((batch["label_BL"] != IGNORE).sum())
        (token_losses(language_model, batch).sum() / max(1, num_targets)).backward()
        adam.step()
    adam.zero_grad()
