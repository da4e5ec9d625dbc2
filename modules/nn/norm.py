"""Root mean square norm that saves as little as possible for backward. D = width."""

from typing import Any

import torch
from torch import Tensor, nn
from typing_extensions import override

PLAIN = ("LlamaRMSNorm", "MistralRMSNorm", "Qwen2RMSNorm")
"""Norms of transformers that do what `RMSNorm` does; others multiply or round elsewhere."""


class Normalise(torch.autograd.Function):
    """weight * x / sqrt(mean(x^2) + eps) (Zhang & Sennrich, 2019, eq. 4), rounded as in Llama.

    Kept for backward are x over its root mean square, in the type of x, and one number a row;
    autograd would keep x in float32 as well.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight_D: Tensor, eps: float, dtype: torch.dtype = torch.float32
    ) -> Tensor:
        """Norm of `x` [..., D], computed in `dtype`; in the wider type of `x` and `weight_D`."""
        wide = x.to(dtype)
        scale = torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + eps)
        normed = (wide * scale).to(x.dtype)
        ctx.save_for_backward(normed, scale, weight_D)
        return weight_D * normed

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        """Gradients of those of `x` and `weight_D` that need one."""
        normed, scale, weight_D = ctx.saved_tensors
        gradient = gradients[0].to(torch.promote_types(gradients[0].dtype, scale.dtype))
        x_gradient = weight_gradient = None
        if ctx.needs_input_grad[0]:
            inner = gradient * weight_D
            inner = inner - normed * (inner * normed).mean(-1, keepdim=True)
            x_gradient = (inner * scale).to(normed.dtype)
        if ctx.needs_input_grad[1]:
            weight_gradient = (gradient * normed).flatten(0, -2).sum(0).to(weight_D.dtype)
        return x_gradient, weight_gradient, None, None


class RMSNorm(nn.Module):
    """A norm of a Llama-like model of transformers, with the same weight and the same values.

    Args:
        norm: Has `weight` and `variance_epsilon`; one of `PLAIN`.
    """

    def __init__(self, norm: Any):
        super().__init__()
        self.weight = norm.weight
        self.variance_epsilon = float(norm.variance_epsilon)

    @override
    def forward(self, x: Tensor) -> Tensor:
        """Norm over the last dimension, computed in float32; [..., D]."""
        return Normalise.apply(x, self.weight, self.variance_epsilon)


def memory_efficient(norm: nn.Module) -> nn.Module:
    """The same norm, saving less for backward, where it is one of `PLAIN`; else the norm."""
    return RMSNorm(norm) if type(norm).__name__ in PLAIN else norm
