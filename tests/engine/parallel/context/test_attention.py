from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import nn

from engine.parallel.context.attention import PartialAttention
from engine.parallel.context.rows import RowPart
from engine.parallel.context.strategy import undivided
from modules.causal_lm.architecture.hf_attention import attend
from modules.causal_lm.network import LanguageModel
from modules.lmfusion.network.fusion import FusionNetwork
from modules.nn.document_attention import Documents


@dataclass(frozen=True)
class AllKeys(RowPart):
    """A part whose other ranks are simulated: gathered are the keys that it is given."""

    keys: Any = None

    def gather(self, x, dim):
        return self.keys


def part(rank, size, keys=None):
    return AllKeys(rank, size, None, keys)


@pytest.mark.parametrize("size", [1, 2, 3, 4])
def test_the_parts_of_all_ranks_are_the_row_and_cost_the_same(size):
    row = torch.arange(24)[None]
    held = [part(rank, size).of_rows(row)[0][0] for rank in range(size)]
    assert torch.equal(torch.cat(held).sort().values, row[0])
    costs = {sum(1 + chunk for chunk in part(rank, size).chunks) for rank in range(size)}
    assert costs == {2 * size + 1}


def test_rows_that_ranks_do_not_divide_are_refused():
    with pytest.raises(ValueError, match=r"rows of 30 tokens .* 2 ranks.* multiple of 4"):
        part(0, 2).of_rows(torch.zeros(1, 30))


LENGTHS = {
    "one document a row": [32, 32],
    "packed": [5, 20, 7, 1, 31],
    "all of like length": [16, 16, 16, 16],
}


@pytest.mark.parametrize("lengths", LENGTHS.values(), ids=LENGTHS)
@pytest.mark.parametrize("size", [2, 4])
def test_attention_of_parts_is_attention_of_rows(lengths, size):
    """Two rows of 32 tokens, four heads that share two of keys; outputs and gradients."""
    torch.manual_seed(0)
    query = torch.randn(2, 4, 32, 8, requires_grad=True)
    keys = torch.randn(2, 2, 2, 32, 8, requires_grad=True)
    documents = Documents.of(lengths, torch.device("cpu"))
    expected, _ = attend(nn.Identity(), query, *keys, None, documents=documents)
    weight = torch.randn_like(expected)
    wanted = torch.autograd.grad((expected * weight).sum(), (query, keys))
    found = 0.0
    for rank in range(size):
        own = part(rank, size, keys)
        q = torch.cat([query.chunk(2 * size, dim=2)[chunk] for chunk in own.chunks], dim=2)
        k, v = (x.narrow(2, 0, q.shape[2]) for x in keys)  # what this rank holds; shapes alone
        out, _ = PartialAttention(attend, own)(None, q, k, v, None, documents=documents)
        [mine] = own.of_rows(expected)
        torch.testing.assert_close(out, mine)
        found = found + (out * own.of_rows(weight)[0]).sum()
    for gradient, right in zip(torch.autograd.grad(found, (query, keys)), wanted, strict=True):
        torch.testing.assert_close(gradient, right, rtol=1e-4, atol=1e-5)


def test_whole_rows_are_attended_as_before():
    x = torch.randn(1, 2, 8, 4)
    documents = Documents.of([3, 5], torch.device("cpu"))
    given = (nn.Identity(), x, x, x, None)
    found, _ = PartialAttention(attend, part(0, 2))(*given, documents=documents)
    assert torch.equal(found, attend(*given, documents=documents)[0])


def test_a_window_shorter_than_a_document_is_refused():
    x = torch.randn(1, 2, 8, 4)
    documents = Documents.of([16], torch.device("cpu"))
    attention = PartialAttention(attend, part(0, 2))
    with pytest.raises(ValueError, match=r"16 tokens is longer than .* window of 4"):
        attention(None, x, x, x, None, documents=documents, sliding_window=4)


def test_only_rows_of_causal_models_are_divided():
    assert undivided(LanguageModel, "documents") is None
    assert "FusionNetwork is none" in str(undivided(FusionNetwork, "documents"))
    assert "LanguageModel is eager" in str(undivided(LanguageModel, "eager"))
