"""Linear layers in few bits: what they hold, compute and pass back."""

import pytest
import torch
from bitsandbytes.functional import dequantize_4bit, get_4bit_type, quantize_4bit
from torch import nn

from engine.run.precision import cast
from modules.nn.quantized_linear import QuantizedLinear

ALL = ["nf4", "nf4-double", "int8"]
WIDEST_GAP = 0.31
"""Between neighbours of the 16 values of nf4."""


def held(bits, out=48, width=80, bias=True, dtype=torch.float32):
    torch.manual_seed(0)
    layer = nn.Linear(width, out, bias).requires_grad_(False)
    return layer, QuantizedLinear(layer, bits, dtype)


@pytest.mark.parametrize(("out", "width"), [(48, 80), (7, 13), (12, 32), (256, 512)])
def test_a_weight_is_the_nearest_of_sixteen_values_in_its_block(out, width):
    """Also where rows end within a block, which bitsandbytes' own layers misread on a CPU."""
    layer, small = held("nf4", out, width)
    values = get_4bit_type("nf4", device="cpu")
    flat, wanted = layer.weight.reshape(-1), []
    for block in flat.split(64):
        greatest = block.abs().max()
        nearest = (block[:, None] / greatest - values).abs().argmin(1)
        wanted.append(values[nearest] * greatest)
    torch.testing.assert_close(small.weight.view(-1), torch.cat(wanted), rtol=0, atol=1e-7)


@pytest.mark.parametrize("bits", ["nf4", "nf4-double"])
def test_four_bits_are_those_of_bitsandbytes(bits):
    layer, small = held(bits, 256, 512)
    state = quantize_4bit(layer.weight, quant_type="nf4", compress_statistics=bits == "nf4-double")
    atol = 1e-6 if bits == "nf4-double" else 0.0  # the mean of the divisors is rounded otherwise
    torch.testing.assert_close(small.weight, dequantize_4bit(*state), rtol=0, atol=atol)


def test_a_weight_is_off_by_half_a_step_at_most():
    layer, small = held("int8")
    step = layer.weight.abs().amax(1, keepdim=True) / 127
    assert bool(((small.weight - layer.weight).abs() <= 0.501 * step).all())
    layer, small = held("nf4")
    blocks = (layer.weight.reshape(-1, 64), small.weight.reshape(-1, 64))
    greatest = blocks[0].abs().amax(1, keepdim=True)
    assert bool(((blocks[1] - blocks[0]).abs() <= WIDEST_GAP / 2 * greatest).all())
    _, double = held("nf4-double")
    assert (double.weight - small.weight).abs().max() < 0.02 * greatest.max()


@pytest.mark.parametrize(("bits", "wanted"), [("nf4", 4.5), ("nf4-double", 4.127), ("int8", 8.06)])
def test_a_weight_takes_the_bits_that_it_should(bits, wanted):
    _, small = held(bits, 512, 512, bias=False)
    num_bytes = sum(p.numel() * p.element_size() for p in small.parameters())
    assert 8 * num_bytes / 512**2 == pytest.approx(wanted, abs=0.01)


@pytest.mark.parametrize("bits", ALL)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_the_product_and_its_gradient_are_those_of_the_weight_that_is_held(bits, dtype):
    _, small = held(bits, dtype=dtype)
    x = torch.randn(2, 5, 80, dtype=dtype, requires_grad=True)
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(kept.append, lambda one: one):
        out = small(x)
    assert not kept  # the weight is made again
    (found,) = torch.autograd.grad(out.square().sum(), x)
    plain = small.whole()
    plain.bias = nn.Parameter(small.bias.to(dtype))
    wanted = plain(x)
    assert torch.equal(out, wanted)
    torch.testing.assert_close(found, torch.autograd.grad(wanted.square().sum(), x)[0])


@pytest.mark.parametrize("bits", ALL)
def test_autocast_and_a_cast_of_all_weights_leave_codes_and_divisors_alone(bits):
    _, small = held(bits)
    x = torch.randn(3, 80, requires_grad=True)
    before = {name: p.clone() for name, p in small.named_parameters()}
    with torch.autocast("cpu", torch.bfloat16):
        out = small(x)
    out.float().sum().backward()
    assert (out.dtype, x.grad.dtype) == (torch.bfloat16, torch.float32)
    cast(small, torch.bfloat16)
    assert small.bias.dtype == torch.bfloat16
    assert all(torch.equal(small.get_parameter(n), before[n]) for n in small.keeps_dtype)
    assert small(x.bfloat16()).dtype == torch.bfloat16


@pytest.mark.parametrize("bits", ALL)
def test_rows_and_blocks_of_zeros_stay_zeros(bits):
    layer = nn.Linear(128, 4, bias=False).requires_grad_(False)
    layer.weight[1:3] = 0
    small = QuantizedLinear(layer, bits, torch.float32)
    assert small.weight.isfinite().all()
    assert small.weight[1:3].abs().max() < (1e-3 if bits == "nf4-double" else 1e-30)


@pytest.mark.parametrize("bits", ["nf4-double", "int8"])
def test_a_compiled_layer_computes_the_same(bits):
    _, small = held(bits)
    x = torch.randn(3, 80, requires_grad=True)
    out = torch.compile(small, backend="aot_eager")(x)
    torch.testing.assert_close(out, small(x))
    out.sum().backward()
    torch.testing.assert_close(x.grad, small.weight.sum(0).expand(3, -1))
