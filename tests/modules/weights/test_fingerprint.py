import pytest
import torch

from modules.weights.fingerprint import CHUNK, NOTHING, fingerprint, same_weights


def weights(seed=0, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    return [(name, torch.randn(40, 30, generator=generator).to(dtype)) for name in "ab"]


@pytest.fixture(params=[torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
def default_dtype(request):
    """The dtype of tensors that name none, as under 32-true and bf16-true."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(request.param)
    yield request.param
    torch.set_default_dtype(before)


def test_the_same_weights_have_the_same_name_in_any_order_and_precision():
    name = fingerprint(weights())
    assert fingerprint(reversed(weights())) == name
    assert fingerprint(weights(dtype=torch.bfloat16)) == name


def test_other_weights_names_or_shapes_have_another_name():
    name = fingerprint(weights())
    assert fingerprint(weights(seed=1)) != name
    assert fingerprint([("c", w) for _, w in weights()]) != name
    assert fingerprint([(n, w.T) for n, w in weights()]) != name


@pytest.mark.parametrize("shape", [(32, 1025), (257, 256), (5000, 3500), (1, CHUNK + 1)])
def test_weights_of_any_size_have_a_name_under_any_default_dtype(shape, default_dtype):
    # 5000 x 3500 is more than float32 counts exactly, 32 x 1025 more than bfloat16 does
    weight = torch.zeros(shape, dtype=torch.bfloat16)
    name = fingerprint([("a", weight)])
    weight[-1, -1] = 1.0
    assert fingerprint([("a", weight)]) != name


def test_every_element_counts_and_so_does_its_place():
    (_, weight), _ = weights()
    name = fingerprint([("a", weight)])
    row, column = 17, 23
    for other in (
        weight.flip(0),
        weight[:, torch.randperm(30, generator=torch.Generator().manual_seed(0))],
        weight.flatten().index_fill(0, torch.tensor(row * 30 + column), 2.0).view(40, 30),
    ):
        assert fingerprint([("a", other)]) != name
    swapped = weight.clone()
    swapped[3, 4], swapped[30, 9] = weight[30, 9], weight[3, 4]
    assert fingerprint([("a", swapped)]) != name
    (_, first), (_, second) = weights()
    assert fingerprint([("a", first), ("b", second)]) != fingerprint([("a", second), ("b", first)])


def test_quantised_and_single_numbers_have_names():
    names = {
        fingerprint([("a", torch.tensor([[1, 2]], dtype=torch.uint8))]),
        fingerprint([("a", torch.tensor([[2, 1]], dtype=torch.uint8))]),
        fingerprint([("a", torch.tensor(1.0))]),
        fingerprint([("a", torch.empty(0))]),
    }
    assert len(names) == 4
    assert NOTHING in names


def test_names_of_an_earlier_form_are_not_held_against_a_checkpoint():
    now = fingerprint(weights())
    assert same_weights("d196fd8a7ab9a18b", now)
    assert not same_weights(NOTHING, now)
    assert not same_weights(fingerprint(weights(seed=1)), now)
