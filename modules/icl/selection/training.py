"""One pass of Adam over selected documents, from the weights that a selection starts with."""

from collections.abc import Iterable, Mapping, Sequence
from random import Random

import torch
from torch import Tensor, nn

from modules.causal_lm.loss import IGNORE
from modules.causal_lm.network import LanguageModel
from modules.icl.gradients.products import wide
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
        options: Learning rate, documents a step, and rows at once.
    """
    order = sorted(documents)
    Random(len(order)).shuffle(order)
    adam = ExactAdam(language_model.parameters(), options.learning_rate)
    size = options.documents_per_step
    for start in range(0, len(order), size):
        add_gradients(language_model, pool, order[start : start + size], options)
        adam.step()


def add_gradients(
    language_model: LanguageModel,
    pool: CandidatePool,
    documents: Sequence[int],
    options: SelectionOptions,
) -> None:
    """Gradients of the mean loss of some documents, as many rows at once as are scored at once."""
    rows, most = pool.rows(documents, options.are_packed), options.rows_per_batch
    batches = [pool.batch(rows[n : n + most]) for n in range(0, len(rows), most)]
    num_targets = sum(int((one["label_BL"] != IGNORE).sum()) for one in batches)
    for batch in batches:
        (token_losses(language_model, batch).sum() / max(1, num_targets)).backward()


class ExactAdam:
    """Adam with weights and averages in float32, of a network whose weights may be in bfloat16.

    There, what changes a weight by less than a 512th of it is rounded away: at a learning rate of
    2e-5, all that happens to a weight above 0.01.

    Args:
        parameters: Of the network; those that are not trained are left as they are.
        learning_rate: Constant.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], learning_rate: float):
        self.parameters = [one for one in parameters if one.requires_grad]
        self.exact = [nn.Parameter(wide(one.detach())) for one in self.parameters]
        self.adams = [torch.optim.Adam([one], lr=learning_rate) for one in self.exact]

    @torch.no_grad()
    def step(self) -> None:
        """Change the parameters by their gradients, one after another, and forget these."""
        for own, exact, adam in zip(self.parameters, self.exact, self.adams, strict=True):
            if own.grad is not None:
                exact.grad, own.grad = wide(own.grad), None
                adam.step()
                adam.zero_grad()
                own.copy_(exact)
