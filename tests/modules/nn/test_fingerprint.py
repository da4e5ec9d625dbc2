import torch

from modules.nn.fingerprint import fingerprint


def weights(seed=0, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    return [(name, torch.randn(40, 30, generator=generator).to(dtype)) for name in "ab"]


def test_the_same_weights_have_the_same_name_in_any_order_and_precision():
    name = fingerprint(weights())
    assert fingerprint(reversed(weights())) == name
    assert fingerprint(weights(dtype=torch.bfloat16)) == name


def test_other_weights_names_or_shapes_have_another_name():
    name = fingerprint(weights())
    assert fingerprint(weights(seed=1)) != name
    assert fingerprint([("c", w) for _, w in weights()]) != name
    assert fingerprint([(n, w.T) for n, w in weights()]) != name
