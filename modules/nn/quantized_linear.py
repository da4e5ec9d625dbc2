"""Frozen linear layers whose weights are held in 4 or 8 bits.

`nf4` is the 4-bit type of QLoRA (Dettmers et al., 2023): blocks of 64 weights are divided by their
greatest absolute value, and each becomes the nearest of 16 quantiles of a normal distribution.
`nf4-double` holds those divisors in 8 bits too, in blocks of 256 (their section 3, "double
quantization"). `int8` divides each row by its greatest absolute value and rounds to 8 bits; inputs
are not rounded, unlike in LLM.int8 (Dettmers et al., 2022).
"""

from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

Bits = Literal["nf4", "nf4-double", "int8"]
"""Ways to hold a weight: 4.5, 4.13 and 8 bits a number, and a little for the rows of `int8`."""

BLOCK = 64
"""Weights that share a divisor."""
OUTER_BLOCK = 256
"""Divisors that share one of their own."""
WIDEST_INT8 = 127
HALVES = (torch.bfloat16, torch.float16)


class FrozenProduct(torch.autograd.Function):
    """Product with a weight that is made from its codes again in backward, so that none is kept."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, layer: "QuantizedLinear") -> Tensor:
        """The layer of x, in the dtype of x."""
        ctx.layer = layer
        bias = None if layer.bias is None else layer.bias.to(x.dtype)
        return F.linear(x, layer.dequantized(x.dtype), bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        """Gradient of x; the layer is frozen."""
        return grad @ ctx.layer.dequantized(grad.dtype), None


class QuantizedLinear(nn.Module):
    """A linear layer that holds its weight in few bits and cannot be trained.

    Codes and divisors are parameters without gradient, so that whatever looks after frozen weights
    looks after them. The weight is rounded on a CPU, whose result is the same at every start.
    Products are computed in the dtype of the input, or of autocast.

    Args:
        layer: The layer to hold; its bias is kept as it is.
        bits: How.
        dtype: What `weight` is made in.
    """

    codes: nn.Parameter
    divisor: nn.Parameter
    outer_divisor: nn.Parameter | None
    offset: nn.Parameter | None
    quantiles: Tensor | None

    def __init__(self, layer: nn.Linear, bits: Bits, dtype: torch.dtype):
        super().__init__()
        self.in_features, self.out_features = layer.in_features, layer.out_features
        self.bits = bits
        self.dtype = dtype
        self.bias = layer.bias
        where = "meta" if layer.weight.is_meta else "cpu"
        with torch.no_grad(), torch.device(where):
            weight = layer.weight.detach().to(where, torch.float32)
            held = rounded_int8(weight) if bits == "int8" else rounded_nf4(weight, bits)
        self.keeps_dtype = [name for name in held if name != "quantiles"]  # when weights are cast
        for name in ("codes", "divisor", "outer_divisor", "offset"):
            kept = nn.Parameter(held[name], requires_grad=False) if name in held else None
            if kept is not None:  # how many weights it holds, for those who count
                num = self.out_features * self.in_features if name == "codes" else 0
                kept.stands_for = num  # type: ignore[attr-defined]
            self.register_parameter(name, kept)
        self.register_buffer("quantiles", held.get("quantiles"), persistent=False)

    @property
    def weight(self) -> Tensor:
        """The weight [out, in] that the codes stand for."""
        return self.dequantized(self.dtype)

    @torch.no_grad()
    def dequantized(self, dtype: torch.dtype) -> Tensor:
        """The weight [out, in] in a dtype, rounded from single precision."""
        if self.bits == "int8":
            return (self.codes * self.divisor).to(dtype)
        made = dtype if dtype in HALVES else torch.float32
        return self._from_nf4(made).to(dtype)

    def _from_nf4(self, dtype: torch.dtype) -> Tensor:
        from bitsandbytes.functional import QuantState, dequantize_4bit, dequantize_blockwise

        divisor: Tensor = self.divisor
        if self.offset is not None:
            outer, code = self.outer_divisor, self.quantiles
            spread = dequantize_blockwise(divisor, None, outer, code, blocksize=OUTER_BLOCK)
            divisor = spread + self.offset
        # block by block: by rows, bitsandbytes misreads those that end within a block on a CPU
        state = QuantState(divisor, torch.Size((len(divisor), BLOCK)), None, BLOCK, "nf4", dtype)
        block_NB: Tensor = dequantize_4bit(self.codes, state)
        num = self.out_features * self.in_features
        return block_NB.view(-1)[:num].view(self.out_features, self.in_features)

    def forward(self, x: Tensor) -> Tensor:
        """The layer of x."""
        device = x.device.type
        if torch.is_autocast_enabled(device):
            x = x.to(torch.get_autocast_dtype(device))
        out: Tensor = FrozenProduct.apply(x, self)
        return out

    def whole(self) -> nn.Linear:
        """A plain linear layer with the weight that the codes stand for."""
        out, width, bias = self.out_features, self.in_features, self.bias
        layer = nn.Linear(width, out, bias is not None, "meta")
        layer.weight = nn.Parameter(self.weight, requires_grad=False)
        layer.bias = bias
        return layer

    def extra_repr(self) -> str:
        """Sizes and bits, as printed."""
        return f"{self.in_features}, {self.out_features}, bits={self.bits}"


def rounded_int8(weight_OI: Tensor) -> dict[str, Tensor]:
    """Codes and divisors of rows, O = features out, I = features in."""
    divisor_O1 = weight_OI.abs().amax(1, keepdim=True) / WIDEST_INT8
    safe_O1 = divisor_O1.masked_fill(divisor_O1 == 0, 1.0)
    return {"codes": (weight_OI / safe_O1).round().to(torch.int8), "divisor": divisor_O1}


def rounded_nf4(weight_OI: Tensor, bits: Bits) -> dict[str, Tensor]:
    """Codes, two in a byte, and divisors of blocks."""
    from bitsandbytes.functional import quantize_4bit, quantize_blockwise

    filled = F.pad(weight_OI.reshape(-1), (0, -weight_OI.numel() % BLOCK))  # whole blocks
    codes, state = quantize_4bit(filled, blocksize=BLOCK, quant_type="nf4")
    if bits == "nf4":
        return {"codes": codes, "divisor": state.absmax}
    # in double precision, where the order of the sum, by threads, is rounded away
    offset = state.absmax.double().mean().float()
    divisor, outer = quantize_blockwise(state.absmax - offset, blocksize=OUTER_BLOCK)
    return {
        "codes": codes,
        "divisor": divisor,
        "outer_divisor": outer.absmax,
        "offset": offset.reshape(1),
        "quantiles": outer.code,
    }
