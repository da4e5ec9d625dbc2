"""How parameters enter the operations of a network, read off the calls of torch.

Calls are read, not modules: `torch.addmm` is the layer of GPT-2, a product with a vector is
the norm of Llama, and a class that nobody has seen is exact or refused, never guessed.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from modules.icl.gradients.norms import matrix_square, rows_square, vector_square
from modules.icl.gradients.products import matrix_product, rows_product, vector_product, wide


@dataclass(frozen=True)
class Way:
    """One of the three ways in which a parameter enters an operation.

    Attributes:
        product: Of two factors a token and directions, their products with the gradient.
        square: Of two factors of each document, the squared norm of its gradient.
    """

    product: Callable[[Tensor, Tensor, Tensor], Tensor]
    square: Callable[[Tensor, Tensor], Tensor]


MATRIX = Way(matrix_product, matrix_square)
VECTOR = Way(vector_product, vector_square)
ROWS = Way(rows_product, rows_square)


@dataclass(frozen=True)
class Use:
    """A parameter in one operation.

    Attributes:
        parameter: The parameter; None where the operation has none at this place.
        way: How it enters.
        saved: What the operation reads beside it, kept for backward.
        factors: Of the gradient of the output and of `saved`, the two factors of `way`.
    """

    parameter: Tensor | None
    way: Way
    saved: Tensor
    factors: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


def alone(gradient: Tensor, _: Tensor) -> tuple[Tensor, Tensor]:
    """A bias: the gradient itself."""
    return gradient, gradient


def beside(gradient: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    """A matrix of outputs x inputs."""
    return gradient, x.to(gradient.dtype)


def exchanged(gradient: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    """A matrix of inputs x outputs."""
    return x.to(gradient.dtype), gradient


def scaled(gradient: Tensor, normed: Tensor) -> tuple[Tensor, Tensor]:
    """A vector that multiplies."""
    return wide(gradient) * normed, gradient


def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> list[Use]:
    """`F.linear`: y = W x + b."""
    return [Use(weight, MATRIX, input, beside), Use(bias, VECTOR, input, alone)]


def addmm(
    bias: Tensor, input: Tensor, weight: Tensor, *, beta: float = 1, alpha: float = 1
) -> list[Use]:
    """`torch.addmm`: y = W^T x + b, as transformers' Conv1D calls it."""
    if (beta, alpha) != (1, 1):
        raise ValueError(f"addmm with beta {beta} and alpha {alpha}; only 1 and 1 are handled")
    return [Use(weight, MATRIX, input, exchanged), Use(bias, VECTOR, input, alone)]


def embedding(
    input: Tensor,
    weight: Tensor,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> list[Use]:
    """`F.embedding`: y = E[i]; autograd gives the row of `padding_idx` no gradient, nor do we."""
    if max_norm is not None or scale_grad_by_freq:
        raise ValueError("an embedding with max_norm or scale_grad_by_freq is not handled")

    def looked_up(gradient: Tensor, ids: Tensor) -> tuple[Tensor, Tensor]:
        if padding_idx is None:
            return gradient, ids
        padding = padding_idx % len(weight)
        return gradient.masked_fill((ids == padding)[..., None], 0), ids

    return [Use(weight, ROWS, input, looked_up)]


def layer_norm(
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> list[Use]:
    """`F.layer_norm`: y = w * n + b; n is made again in backward."""

    def normed(gradient: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        return scaled(gradient, F.layer_norm(x, normalized_shape, eps=eps))

    return [Use(weight, VECTOR, input, normed), Use(bias, VECTOR, input, alone)]


def rms_norm(
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    eps: float | None = None,
) -> list[Use]:
    """`F.rms_norm`: y = w * n; n is made again in backward."""

    def normed(gradient: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        return scaled(gradient, F.rms_norm(x, normalized_shape, eps=eps))

    return [Use(weight, VECTOR, input, normed)]


def mul(input: Tensor, other: Tensor) -> list[Use]:
    """A vector times what has it as its last dimension, as norms are written out.

    Raises:
        ValueError: Neither is a vector.
    """
    if not isinstance(input, Tensor) or not isinstance(other, Tensor):
        raise ValueError("a product with a number is not that of a norm with its weight")
    weight, normed = (input, other) if input.ndim == 1 else (other, input)
    if weight.ndim != 1 or normed.ndim < 2 or normed.shape[-1:] != weight.shape:
        shapes = f"{tuple(input.shape)} and {tuple(other.shape)}"
        raise ValueError(f"a product of {shapes} is not that of a norm with its weight")
    return [Use(weight, VECTOR, normed, scaled)]


OPERATIONS: dict[Callable[..., Any], Callable[..., list[Use]]] = {
    F.linear: linear,
    torch.addmm: addmm,
    F.embedding: embedding,
    F.layer_norm: layer_norm,
    F.rms_norm: rms_norm,
    torch.Tensor.mul: mul,
    torch.mul: mul,
}
"""Of each function of torch that may read a parameter, how it does."""
