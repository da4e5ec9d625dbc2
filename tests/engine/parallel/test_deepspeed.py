from dataclasses import dataclass, field

import pytest
import torch
from torch import Tensor, nn

from engine.parallel.deepspeed import DeepSpeed, marked
from engine.parallel.zero_state import buffers_kept, own_part, refuse_other_weights


def test_parameters_that_are_whole_everywhere_are_not_offloaded():
    with pytest.raises(ValueError, match=r"offload_parameters needs stage 3, .* got 2"):
        DeepSpeed(stage=2, offload_parameters=True)


def test_buffers_keep_their_dtype_where_weights_are_cast():
    module = nn.BatchNorm1d(3)
    module.running_mean += 0.1
    before = module.running_mean.clone()
    with buffers_kept(module):
        module.bfloat16()
    assert module.weight.dtype == torch.bfloat16
    assert torch.equal(module.running_mean, before)


@dataclass(frozen=True)
class Output:
    out: Tensor
    kept: Tensor
    name: str = field(default="a")


class Doubled(torch.autograd.Function):
    """Stands for what DeepSpeed wants to see of each output."""

    @staticmethod
    def forward(ctx, x):
        return 2 * x

    @staticmethod
    def backward(ctx, gradient):
        return gradient


def test_tensors_of_a_dataclass_are_seen_where_they_have_a_gradient():
    part = nn.Identity()
    part.pre_bwd_fn = Doubled
    x = torch.ones(2, requires_grad=True)
    found = marked(part, (), Output(x, torch.ones(2)))
    assert found.out.tolist() == [2, 2]
    assert found.kept.tolist() == [1, 1]
    assert found.name == "a"
    assert marked(part, (), x) is None


def test_the_weights_of_another_model_are_refused_with_both_shapes():
    weights = {"weight": torch.zeros(3, 2), "bias": torch.zeros(3)}
    refuse_other_weights(weights, nn.Linear(2, 3))
    with pytest.raises(ValueError, match=r"1 other shape: weight \(3, 2\), here \(4, 2\)"):
        refuse_other_weights(weights | {"bias": torch.zeros(4)}, nn.Linear(2, 4))
    with pytest.raises(ValueError, match="1 unknown: more"):
        refuse_other_weights(weights | {"more": torch.zeros(1)}, nn.Linear(2, 3))


@pytest.mark.parametrize(("rank", "part"), [(0, [0, 1]), (1, [2, 0]), (2, [0, 0])])
def test_the_last_parts_of_a_weight_are_padded(monkeypatch, rank, part):
    monkeypatch.setattr(torch.distributed, "get_rank", lambda: rank)
    assert own_part(torch.arange(3.0), 2).tolist() == part
