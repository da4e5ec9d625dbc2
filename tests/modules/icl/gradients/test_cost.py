"""What a pass computes and makes, counted."""

from functools import partial

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from engine.measure.flops import FlopCounter
from modules.icl.gradients.documents import DocumentTable
from modules.icl.gradients.parameters import chosen_parameters
from modules.icl.gradients.similarity import Directions, token_products
from tests.fixtures.document_gradients import random_directions, row_loss, tiny_model, tokens

TOKEN_BL = tokens(2, 50)
TABLE = DocumentTable(*TOKEN_BL.shape)


class MadeShapes(TorchDispatchMode):
    """Shapes of all tensors that operations make, views of what they read left out."""

    def __init__(self):
        super().__init__()
        self.shapes = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        read = {storage(x) for x in tree_leaves((args, kwargs)) if isinstance(x, torch.Tensor)}
        made = [x for x in tree_leaves(out) if isinstance(x, torch.Tensor)]
        self.shapes |= {x.shape for x in made if storage(x) not in read}
        return out


def storage(x):
    return x.untyped_storage()._cdata


def parts(kind, num_directions):
    model = tiny_model(kind, dtype=torch.float32, width=48)
    directions = random_directions(model, chosen_parameters(model), num_directions)
    stacked = Directions.of([{n: x.float() for n, x in one.items()} for one in directions])
    loss = partial(row_loss, model, TOKEN_BL, torch.ones_like(TOKEN_BL))
    return model, loss, lambda: token_products(model, loss, TABLE, stacked)


def flops(work):
    with FlopCounter() as counter:
        work()
    return counter.total


@pytest.mark.parametrize(("num_directions", "limit"), [(1, 1.02), (4, 1.05 * (2 + 4) / 3)])
@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_products_take_the_operations_of_a_step_with_as_many_weight_gradients(
    kind, num_directions, limit
):
    _, loss, products = parts(kind, num_directions)
    assert flops(products) <= limit * flops(lambda: loss().backward())


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_no_gradient_of_a_matrix_is_made(kind):
    model, loss, products = parts(kind, 1)
    shapes = {p.shape for p in model.parameters() if p.ndim == 2 and p.shape[0] != p.shape[1]}
    weights = shapes | {torch.Size(shape[::-1]) for shape in shapes}
    with MadeShapes() as plain:
        torch.autograd.grad(loss(), list(model.parameters()))
    with MadeShapes() as ours:
        products()
    assert plain.shapes & weights
    assert not ours.shapes & weights
