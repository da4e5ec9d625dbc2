"""Gradients on random directions, whose cosines are about those of the gradients.

    P g, with P of random signs over sqrt(Q): E <P g, P h> = <g, h> (Johnson & Lindenstrauss, 1984;
    with signs: Achlioptas, 2003), with a variance of about (|g|^2 |h|^2 + <g, h>^2) / Q

Projected gradients are kept, so that a later iteration reads them and asks the network nothing.

Shape legend: N = documents, P = chosen parameters, Q = random directions.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from modules.causal_lm.loss import IGNORE
from modules.causal_lm.network import LanguageModel
from modules.icl.gradients.similarity import loss_gradient
from modules.icl.selection.options import GradientProjection
from modules.icl.selection.pool import CandidatePool, PoolBatch
from modules.icl.selection.scoring import Columns, token_losses

AT_ONCE = 64
"""Directions that are held as floating numbers, and documents whose gradients are."""


@dataclass(frozen=True)
class Signs:
    """Random directions.

    Attributes:
        is_plus_QP: Signs of each, 1 and 0 as bytes: Q bytes a parameter. The first directions are
            those of a smaller Q.
    """

    is_plus_QP: Tensor

    @staticmethod
    def of(
        projection: GradientProjection, size: int, device: torch.device | str = "cpu"
    ) -> "Signs":
        """The directions of a projection, the same on every device.

        Args:
            projection: How many, and their seed.
            size: P.
            device: Where they are used.
        """
        rng = torch.Generator().manual_seed(projection.seed)
        shape = (projection.num, size)
        return Signs(torch.randint(2, shape, generator=rng, dtype=torch.int8).to(device))

    def project(self, gradient_P: Iterable[Tensor]) -> Tensor:
        """Projected gradients, [N, Q]."""
        scale = math.sqrt(len(self.is_plus_QP))
        return torch.cat([self._some(one) for one in stacked(gradient_P)]) / scale

    def _some(self, gradient_NP: Tensor) -> Tensor:
        parts = self.is_plus_QP.split(AT_ONCE)
        kind = gradient_NP.dtype
        return torch.cat([gradient_NP @ (2 * part.to(kind) - 1).T for part in parts], dim=1)


def stacked(gradient_P: Iterable[Tensor]) -> Iterator[Tensor]:
    """Some gradients at a time, [N, P]."""
    some = list[Tensor]()
    for one in gradient_P:
        some.append(one)
        if len(some) == AT_ONCE:
            yield torch.stack(some)
            some = []
    if some:
        yield torch.stack(some)


class ProjectedGradients:
    """Projected loss gradients of the documents of a batch, and their lengths.

    Each document is read alone, as its gradient is made whole: what else is in its row or its batch
    does not matter.

    Args:
        language_model: The model, in evaluation mode.
        pool: The documents.
        names: Of the parameters that count.
        signs: What to project on.
    """

    def __init__(
        self, language_model: LanguageModel, pool: CandidatePool, names: Sequence[str], signs: Signs
    ):
        self.language_model = language_model
        self.pool = pool
        self.names = names
        self.signs = signs
        self.nats: list[float] = []

    def __call__(self, batch: PoolBatch) -> Columns:
        """Columns of the documents of a batch; paddings are left out."""
        documents = [one for one in batch["document_N"] if one >= 0]
        self.nats = []
        batches = [self.pool.batch([[one]]) for one in documents]
        own_NQ = self.signs.project(self._gradient(one) for one in batches)
        targets = [float((one["label_BL"] != IGNORE).sum()) for one in batches]
        pairs = zip(self.nats, targets, strict=True)
        return {
            "document": documents,
            "norm": own_NQ.double().norm(dim=1).tolist(),
            "targets": targets,
            "loss": [nats / num if num else math.nan for nats, num in pairs],
            "projected": own_NQ.cpu().tolist(),
        }

    def _gradient(self, batch: PoolBatch) -> Tensor:
        def loss() -> Tensor:
            losses = token_losses(self.language_model, batch)
            self.nats.append(float(losses.detach().double().sum()))
            return losses.sum()

        return flat(loss_gradient(self.language_model, self.names, [loss]))


def flat(gradient: Mapping[str, Tensor]) -> Tensor:
    """All parameters in one vector."""
    return torch.cat([one.flatten() for one in gradient.values()])


def along(columns: Columns, wanted_Q: Tensor) -> Columns:
    """Columns with products with a projected direction in place of projected gradients."""
    own_NQ = torch.tensor(columns["projected"], dtype=torch.float64)
    kept = {name: values for name, values in columns.items() if name != "projected"}
    return kept | {"product": (own_NQ @ wanted_Q.double().cpu()).tolist()}
