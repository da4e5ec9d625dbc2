import copy

import pytest
import torch
from torch import nn
from torch.autograd import gradcheck
from torch.utils.checkpoint import checkpoint
from transformers.models.cohere.modeling_cohere import CohereLayerNorm
from transformers.models.llama.modeling_llama import LlamaRMSNorm
from transformers.models.mistral.modeling_mistral import MistralRMSNorm
from transformers.models.qwen2.modeling_qwen2 import Qwen2RMSNorm

from modules.nn.norm import PLAIN, Normalise, RMSNorm, memory_efficient

PLAIN_NORMS = [LlamaRMSNorm, MistralRMSNorm, Qwen2RMSNorm]
WIDTH = 48


def draw(kind=LlamaRMSNorm, dtype=torch.float32, weight_dtype=None):
    """A norm of transformers, rows for it, and weights of a loss."""
    torch.manual_seed(0)
    norm = kind(WIDTH, 1e-5)
    norm.weight.data = torch.randn(WIDTH).to(weight_dtype or dtype)
    x = (torch.randn(3, 7, WIDTH) * torch.logspace(-3, 2, 7)[:, None]).to(dtype)
    return norm, x.requires_grad_(), torch.randn(3, 7, WIDTH).to(dtype)


def gradients(norm, x, weight):
    """Those of the rows and of the norm's weight, where it is trained."""
    wanted = [x, *(p for p in norm.parameters() if p.requires_grad)]
    return torch.autograd.grad((norm(x) * weight).sum(), wanted)


def kept(norm, x):
    """Elements that wait for backward, the weight left out."""
    known = norm.weight.data_ptr()
    storages = {}

    def pack(tensor):
        if tensor.data_ptr() != known:
            storages[tensor.data_ptr()] = tensor.numel()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        out = norm(x)
    assert len(out) == len(x)  # it lived until all were counted
    return sum(storages.values())


@pytest.mark.parametrize("kind", PLAIN_NORMS)
@pytest.mark.parametrize(
    ("dtype", "weight_dtype"),
    [
        (torch.float32, torch.float32),
        (torch.bfloat16, torch.bfloat16),
        (torch.float32, torch.bfloat16),
        (torch.bfloat16, torch.float32),
        (torch.float64, torch.float64),
    ],
)
def test_values_are_those_of_transformers_to_the_last_bit(kind, dtype, weight_dtype):
    norm, x, _ = draw(kind, dtype, weight_dtype)
    result, wanted = memory_efficient(norm)(x), norm(x)
    assert result.dtype == wanted.dtype
    assert torch.equal(result, wanted)


@pytest.mark.parametrize("is_frozen", [False, True])
def test_gradients_are_those_of_autograd_through_transformers_norm(is_frozen):
    norm, x, weight = draw()
    norm.requires_grad_(not is_frozen)
    results, wanted = gradients(memory_efficient(norm), x, weight), gradients(norm, x, weight)
    assert len(results) == len(wanted) == 2 - is_frozen
    for ours, theirs in zip(results, wanted, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)


def test_gradients_in_half_precision_are_nearer_to_the_truth_than_autograds():
    norm, x, weight = draw(dtype=torch.bfloat16)
    exact = copy.deepcopy(norm).float()
    truth = gradients(exact, x.detach().float().requires_grad_(), weight.float())
    ours, theirs = gradients(memory_efficient(norm), x, weight), gradients(norm, x, weight)
    for our_gradient, their_gradient, true in zip(ours, theirs, truth, strict=True):
        assert our_gradient.dtype == torch.bfloat16
        assert (our_gradient.float() - true).norm() <= (their_gradient.float() - true).norm()


@pytest.mark.parametrize("trained", [(True, True), (True, False), (False, True)])
def test_the_gradient_is_that_of_small_differences(trained):
    torch.manual_seed(0)
    x, weight = torch.randn(2, 3, 5, dtype=torch.float64), torch.randn(5, dtype=torch.float64)
    x.requires_grad_(trained[0]), weight.requires_grad_(trained[1])
    assert gradcheck(lambda a, b: Normalise.apply(a, b, 0.1, torch.float64), (x, weight))


def test_one_tensor_and_one_number_a_row_are_kept():
    norm, x, _ = draw()
    assert kept(memory_efficient(norm), x) == x.numel() + x.numel() // WIDTH
    assert kept(norm, x) > 2 * x.numel()


def test_nothing_is_kept_where_nothing_is_trained():
    norm, x, _ = draw()
    norm.requires_grad_(False)
    assert kept(memory_efficient(norm), x.detach()) == 0


def test_no_rows_give_no_rows_and_zero_gradients():
    norm, x, weight = draw()
    ours = memory_efficient(norm)
    results = gradients(ours, x.detach()[:0].requires_grad_(), weight[:0])
    assert results[0].shape == (0, 7, WIDTH)
    assert torch.equal(results[1], torch.zeros(WIDTH))


def test_gradients_are_the_same_under_autocast_and_when_computed_again():
    norm, x, weight = draw()
    ours = memory_efficient(norm)
    wanted = gradients(ours, x, weight)
    with torch.autocast("cpu", torch.bfloat16):
        out = ours(x)
    assert out.dtype == torch.float32
    again = checkpoint(ours, x, use_reentrant=False)
    for result in (out, again):
        results = torch.autograd.grad((result * weight).sum(), (x, ours.weight))
        assert all(torch.equal(*pair) for pair in zip(results, wanted, strict=True))


def test_it_compiles_in_one_piece():
    norm, x, weight = draw()
    ours = memory_efficient(norm)
    wanted = gradients(ours, x, weight)
    compiled = torch.compile(ours, backend="aot_eager", fullgraph=True)
    results = gradients(compiled, x, weight)
    for result, expected in zip(results, wanted, strict=True):
        torch.testing.assert_close(result, expected)


def test_the_weight_stays_the_very_parameter_under_its_name():
    norm, _, _ = draw()
    ours = memory_efficient(norm)
    assert isinstance(ours, RMSNorm)
    assert ours.weight is norm.weight
    assert ours.state_dict().keys() == norm.state_dict().keys()


def test_other_norms_stay_as_they_are():
    for norm in (nn.RMSNorm(WIDTH), nn.LayerNorm(WIDTH), CohereLayerNorm(WIDTH)):
        assert memory_efficient(norm) is norm
    assert [kind.__name__ for kind in PLAIN_NORMS] == list(PLAIN)
