"""Gradients of single documents, against autograd one document at a time."""

from functools import partial

import pytest
import torch
from torch import nn

from modules.causal_lm.lora import Lora, adapt
from modules.icl.gradients.documents import DocumentTable
from modules.icl.gradients.parameters import chosen_parameters
from modules.icl.gradients.similarity import (
    Directions,
    cosine,
    similarities,
    squared_norms,
    token_products,
)
from modules.nn.activations import checkpoint_activations
from tests.fixtures.document_gradients import (
    by_autograd,
    cross_entropy,
    random_directions,
    row_loss,
    tiny_model,
    tokens,
)

TOKEN_BL = tokens()
MASK_BL = torch.ones_like(TOKEN_BL)
MASK_BL[1, 6:] = 0
MASK_BL[2, :2] = 0
ROWS = DocumentTable(*TOKEN_BL.shape)
EXACT = {"rtol": 1e-9, "atol": 1e-12}


def all_rows(model):
    return partial(row_loss, model, TOKEN_BL, MASK_BL)


def check(model, names):
    """Compare products and norms of all rows, padded on either side, with autograd."""
    directions = random_directions(model, names)
    losses = [partial(all_rows(model), slice(b, b + 1)) for b in range(len(TOKEN_BL))]
    product, square = by_autograd(model, names, losses, directions)
    found = similarities(model, all_rows(model), ROWS, Directions.of(directions))
    torch.testing.assert_close(found.products.product_NQ, product, **EXACT)
    torch.testing.assert_close(found.square_N, square, **EXACT)
    return found


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("kind", ["llama", "gpt2", "opt", "qwen2"])
def test_products_and_norms_are_those_of_one_document_at_a_time(kind, tied):
    model = tiny_model(kind, tied)
    found = check(model, chosen_parameters(model))
    assert all(parameter.grad is None for parameter in model.parameters())
    assert (found.cosine_NQ.abs() <= 1).all()


def test_norms_of_heads_count_as_well():
    model = tiny_model("qwen3")
    check(model, [name for name, _ in model.named_parameters() if "q_norm" in name])


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_a_document_in_a_packed_row_has_the_gradient_that_it_has_alone(kind):
    model, lengths = tiny_model(kind), [4, 5, 7, 2]
    position_BL = torch.cat([torch.arange(length) for length in lengths]).view(2, 9)
    is_first_BL = position_BL == 0

    def packed():
        logits = model(TOKEN_BL[:2], position_ids=position_BL, use_cache=False).logits
        label_BL = TOKEN_BL[:2].masked_fill(is_first_BL, -100)
        return cross_entropy(logits[:, :-1], label_BL[:, 1:])

    names = chosen_parameters(model)
    directions = random_directions(model, names)
    alone = [part[None] for part in TOKEN_BL[:2].flatten().split(lengths)]
    losses = [partial(row_loss, model, token, torch.ones_like(token)) for token in alone]
    product, square = by_autograd(model, names, losses, directions)
    table = DocumentTable(2, 9, lengths)
    found = similarities(model, packed, table, Directions.of(directions))
    torch.testing.assert_close(found.products.product_NQ, product, **EXACT)
    torch.testing.assert_close(found.square_N, square, **EXACT)


def test_the_part_of_a_token_is_its_own_outer_product_times_the_direction():
    torch.manual_seed(0)
    layer, x_BLD, weight_BLO = nn.Linear(4, 3), torch.randn(2, 5, 4), torch.randn(2, 5, 3)
    direction = {"weight": torch.randn(3, 4), "bias": torch.randn(3)}
    loss = lambda: (layer(x_BLD).square() * weight_BLO).sum() / 2  # noqa: E731
    found = token_products(layer, loss, DocumentTable(2, 5), Directions.of([direction]))
    for b in range(2):
        for t in range(5):
            g_O = layer(x_BLD[b, t]) * weight_BLO[b, t]
            own = (torch.outer(g_O, x_BLD[b, t]) * direction["weight"]).sum()
            want = own + (g_O * direction["bias"]).sum()
            torch.testing.assert_close(found.product_BLQ[b, t, 0], want)


def test_padding_adds_nothing():
    model = tiny_model()
    directions = random_directions(model, chosen_parameters(model))
    found = token_products(model, all_rows(model), ROWS, Directions.of(directions))
    assert not found.product_BLQ[1, 6:].any()


def test_blocks_that_are_computed_again_in_backward_give_the_same():
    model = tiny_model("opt")
    directions = Directions.of(random_directions(model, chosen_parameters(model)))
    plain = similarities(model, all_rows(model), ROWS, directions)
    checkpoint_activations(model)
    model.train()  # transformers checkpoints in training only; there is no dropout
    for module in model.modules():
        if hasattr(module, "dropout"):
            module.dropout = 0.0
    again = similarities(model, all_rows(model), ROWS, directions)
    assert torch.equal(plain.products.product_BLQ, again.products.product_BLQ)
    assert torch.equal(plain.square_N, again.square_N)


def test_with_weights_in_bfloat16_sums_are_in_float32_and_cosines_those_of_exact_weights():
    coarse = tiny_model(dtype=torch.bfloat16)
    exact = tiny_model(dtype=torch.bfloat16).double()
    names = chosen_parameters(exact)
    directions = Directions.of(random_directions(exact, names))
    found = similarities(coarse, all_rows(coarse), ROWS, directions)
    want = similarities(exact, all_rows(exact), ROWS, directions)
    assert found.products.product_BLQ.dtype == found.square_N.dtype == torch.float32
    torch.testing.assert_close(found.cosine_NQ.double(), want.cosine_NQ, rtol=0, atol=0.01)


@pytest.mark.parametrize(
    "options",
    [
        {"embeddings": False},
        {"norms": False},
        {"last_layers": 1},
        {"embeddings": False, "norms": False, "last_layers": 1},
    ],
)
@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_chosen_parameters_alone_count(kind, options):
    model = tiny_model(kind)
    check(model, chosen_parameters(model, **options))


def test_adapters_alone_count_where_the_rest_is_frozen():
    model = adapt(tiny_model(), Lora(rank=2))
    for name, parameter in model.named_parameters():
        parameter.data = parameter.data.double() + ("lora_B" in name)
    names = chosen_parameters(model)
    assert all("lora" in name for name in names)
    check(model, names)


def test_the_cosine_of_a_zero_gradient_is_not_a_number():
    product_NQ, square_N = torch.tensor([[0.0], [3.0]]), torch.tensor([0.0, 9.0])
    found = cosine(product_NQ, square_N, torch.tensor([2.0]))
    assert found[0].isnan()
    assert found[1] == 0.5


def test_what_cannot_be_taken_by_token_is_named():
    model = tiny_model("gemma")
    names = [name for name, _ in model.named_parameters() if "layers.0.input_layernorm" in name]
    with pytest.raises(ValueError, match=r"layers\.0\.input_layernorm\.weight, of a GemmaRMSNorm"):
        squared_norms(model, all_rows(model), ROWS, names)


def test_parameters_outside_the_loss_are_named():
    model = nn.ModuleDict({"used": nn.Linear(4, 3), "idle": nn.Linear(4, 3)})
    loss = lambda: model["used"](torch.ones(1, 2, 4)).sum()  # noqa: E731
    with pytest.raises(ValueError, match=r"no gradient was seen at idle\.weight"):
        squared_norms(model, loss, DocumentTable(1, 2), ["used.weight", "idle.weight"])


class OwnBackward(torch.autograd.Function):
    """Reads a weight in backward alone, or in forward as well."""

    @staticmethod
    def forward(ctx, x, layer, hides):
        ctx.layer = layer
        return layer(x) if hides else x.clone()

    @staticmethod
    def backward(ctx, gradient):
        return gradient @ ctx.layer.weight, None, None


def test_what_a_function_of_autograd_hides_is_named():
    layer = nn.Linear(4, 4)
    loss = lambda: OwnBackward.apply(layer(torch.ones(1, 2, 4)), layer, True).sum()  # noqa: E731
    with pytest.raises(ValueError, match=r"weight, of a Linear, .* where no gradients are made"):
        squared_norms(layer, loss, DocumentTable(1, 2), ["weight"])


def test_what_backward_passes_read_of_a_parameter_is_no_use_of_it():
    layer = nn.Linear(4, 4)
    loss = lambda: OwnBackward.apply(layer(torch.ones(1, 2, 4)), layer, False).sum()  # noqa: E731
    found = squared_norms(layer, loss, DocumentTable(1, 2), ["weight"])
    want = torch.outer(layer.weight.sum(0), torch.full((4,), 2.0)).square().sum()
    torch.testing.assert_close(found, want[None])


def test_the_norm_of_a_layer_that_is_called_twice_is_refused():
    layer = nn.Linear(4, 4)
    loss = lambda: layer(layer(torch.ones(1, 2, 4))).sum()  # noqa: E731
    with pytest.raises(ValueError, match="weight is used more than once"):
        squared_norms(layer, loss, DocumentTable(1, 2), ["weight"])


def test_an_operation_without_a_place_for_each_token_is_refused():
    layer = nn.Linear(4, 3)
    loss = lambda: layer(torch.ones(1, 2, 4).mean(1)).sum()  # noqa: E731
    with pytest.raises(ValueError, match=r"\(1, 3\) is not one of \(1, 2\) tokens"):
        squared_norms(layer, loss, DocumentTable(1, 2), ["weight"])


@pytest.mark.parametrize(
    ("names", "words"), [(["tail"], "no parameter tail"), ([], "no parameter is chosen")]
)
def test_names_must_be_those_of_parameters(names, words):
    layer = nn.Linear(4, 3)
    loss = lambda: layer(torch.ones(1, 2, 4)).sum()  # noqa: E731
    with pytest.raises(ValueError, match=words):
        squared_norms(layer, loss, DocumentTable(1, 2), names)
