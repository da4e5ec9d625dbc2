import pytest
import torch
from torch import nn

from engine.parallel.fsdp2 import compute_dtype, find_blocks


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(2, 2)


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.heads = nn.ModuleList([nn.Linear(2, 2)])
        self.layers = nn.ModuleList([Block() for _ in range(3)])


def test_the_longest_list_holds_the_blocks():
    assert [type(m) for m in find_blocks(Network(), None)] == [Block] * 3


def test_blocks_can_be_named_and_unknown_names_are_refused():
    assert len(find_blocks(Network(), ["Block"])) == 3
    with pytest.raises(ValueError, match=r"\['Bloc'\].*'Block'"):
        find_blocks(Network(), ["Bloc"])


@pytest.mark.parametrize(
    ("precision", "dtype"),
    [
        ("32-true", torch.float32),
        ("bf16-mixed", torch.bfloat16),
        ("bf16-true", torch.bfloat16),
        ("16-mixed", torch.float16),
    ],
)
def test_the_compute_type_of_a_precision(precision, dtype):
    assert compute_dtype(precision) == dtype
