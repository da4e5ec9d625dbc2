"""Products, norms and cosines of the gradients of all documents of a batch, in about one step.

Dot products are of one forward and backward pass, whose weight gradients are replaced by products
with the directions: as many operations, and nothing of a weight's shape is made. They come by
token: a document's is the sum over its tokens, so packed rows need nothing of their own. The part
of a token is what passes through its own position, the losses of later tokens included.

Shape legend: B = rows, L = row length, N = documents, Q = directions.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from modules.icl.gradients.accounts import Products, Squares
from modules.icl.gradients.documents import DocumentTable
from modules.icl.gradients.products import wide
from modules.icl.gradients.watch import Account, Watch, parameters_called

Loss = Callable[[], Tensor]
"""Runs the network over a batch: the sum, not the mean, of the losses of its documents."""


@dataclass(frozen=True)
class Directions:
    """Directions in the space of chosen parameters, such as gradients of tasks.

    Attributes:
        by_name: Of each chosen parameter, Q directions of its shape, [Q, ...].
    """

    by_name: Mapping[str, Tensor]

    @staticmethod
    def of(gradients: Sequence[Mapping[str, Tensor]]) -> "Directions":
        """Several directions in the same parameters."""
        return Directions(
            {name: torch.stack([one[name] for one in gradients]) for name in gradients[0]}
        )

    def norms(self) -> Tensor:
        """Lengths of the directions, [Q]."""
        squares = [wide(x).flatten(1).square().sum(1).cpu() for x in self.by_name.values()]
        return torch.stack(squares).sum(0).sqrt()


@dataclass(frozen=True)
class TokenProducts:
    """Products of loss gradients with directions.

    Attributes:
        product_BLQ: What passes through each token, float32 or wider.
        product_NQ: Of the gradient of each document.
    """

    product_BLQ: Tensor
    product_NQ: Tensor


@dataclass(frozen=True)
class Similarities:
    """Products and cosines of loss gradients with directions.

    Attributes:
        products: By token and by document.
        square_N: Squared norms of the documents' gradients; the same for all directions.
        cosine_NQ: In [-1, 1]; NaN where a gradient is zero.
    """

    products: TokenProducts
    square_N: Tensor
    cosine_NQ: Tensor


def loss_gradient(
    network: nn.Module, names: Sequence[str], losses: Iterable[Loss]
) -> dict[str, Tensor]:
    """Gradient of a sum of losses, batch by batch, in float32 or wider: a direction.

    Args:
        network: Holds the parameters.
        names: Of the chosen ones.
        losses: One a batch.
    """
    chosen = parameters_called(network, names)
    total = {name: zeros(p) for name, p in chosen.items()}
    for loss in losses:
        gradients = torch.autograd.grad(loss(), list(chosen.values()))
        for one, gradient in zip(total.values(), gradients, strict=True):
            one += gradient
    return total


def zeros(parameter: Tensor) -> Tensor:
    """As large as a parameter, in float32 or wider; its own values are not read."""
    exact = torch.promote_types(parameter.dtype, torch.float32)
    return torch.zeros(parameter.shape, dtype=exact, device=parameter.device)


def token_products(
    network: nn.Module, loss: Loss, documents: DocumentTable, directions: Directions
) -> TokenProducts:
    """Exact products of each document's loss gradient with each direction.

    Args:
        network: What `loss` runs; in evaluation mode where it has dropout.
        loss: As `Loss` says.
        documents: Where documents lie in the batch.
        directions: In the parameters that count.

    Raises:
        ValueError: A chosen parameter is used in a way that is not handled, or not at all.
    """
    products = Products(directions.by_name)
    meet_all(network, loss, directions.by_name, documents, products)
    return of_documents(products, documents)


def squared_norms(
    network: nn.Module, loss: Loss, documents: DocumentTable, names: Sequence[str]
) -> Tensor:
    """Exact squared norms of each document's loss gradient in chosen parameters, [N].

    Args:
        network: As in `token_products`.
        loss: As `Loss` says.
        documents: Where documents lie in the batch.
        names: Of the chosen parameters.

    Raises:
        ValueError: As `token_products`; or a parameter is used twice, but for a tied head.
    """
    squares = Squares(documents)
    meet_all(network, loss, names, documents, squares)
    return met(squares.total_N)


def similarities(
    network: nn.Module, loss: Loss, documents: DocumentTable, directions: Directions
) -> Similarities:
    """Products and norms of one pass, and the cosines of both.

    Raises:
        ValueError: As `token_products` and `squared_norms`.
    """
    products, squares = Products(directions.by_name), Squares(documents)
    meet_all(network, loss, directions.by_name, documents, products, squares)
    found, square_N = of_documents(products, documents), met(squares.total_N)
    return Similarities(found, square_N, cosine(found.product_NQ, square_N, directions.norms()))


def cosine(product_NQ: Tensor, square_N: Tensor, norm_Q: Tensor) -> Tensor:
    """Cosines of gradients and directions; NaN where a gradient, or a direction, is zero."""
    return product_NQ / (square_N.sqrt()[:, None] * norm_Q.to(product_NQ.device))


def meet_all(
    network: nn.Module,
    loss: Loss,
    names: Iterable[str],
    documents: DocumentTable,
    *accounts: Account,
) -> None:
    """One forward and one backward pass; activation checkpoints run again inside the watch."""
    with Watch(network, names, documents, accounts) as watch:
        watch.backward(loss())


def of_documents(products: Products, documents: DocumentTable) -> TokenProducts:
    """Products by token as rows, and their sums."""
    total_TQ = met(products.total_TQ)
    shape = (documents.num_rows, documents.row_length)
    return TokenProducts(total_TQ.unflatten(0, shape), documents.sums(total_TQ))


def met(total: Tensor | None) -> Tensor:
    """A total; a pass without any parameter has none.

    Raises:
        ValueError: No parameter was chosen.
    """
    if total is None:
        raise ValueError("no parameter is chosen")
    return total
