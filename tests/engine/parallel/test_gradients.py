import pytest
import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import Shard, distribute_tensor
from torch.testing._internal.distributed.fake_pg import FakeStore

from engine.parallel.gradients import by_mesh, one_by_one, total_norm


@pytest.fixture
def mixed():
    """A whole parameter and a sharded one, with gradients."""
    dist.init_process_group("fake", rank=0, world_size=1, store=FakeStore())
    mesh = init_device_mesh("cpu", (1,))
    whole = nn.Parameter(torch.tensor([3.0, 4.0]))
    sharded = nn.Parameter(distribute_tensor(torch.tensor([12.0]), mesh, [Shard(0)]))
    for parameter in (whole, sharded):
        parameter.grad = parameter.detach().clone()
    yield [whole, sharded]
    dist.destroy_process_group()


def test_the_norm_of_whole_and_sharded_gradients_is_that_of_one_vector(mixed):
    norm = total_norm([parameter.grad for parameter in mixed])
    assert type(norm) is torch.Tensor
    assert norm.item() == pytest.approx(13)
    assert total_norm([]).item() == 0


def test_optimizers_step_mixed_parameters_one_by_one(mixed):
    assert [len(group) for group in by_mesh(mixed)] == [1, 1]
    optimizer = torch.optim.AdamW(mixed, lr=0.1, foreach=True)
    with pytest.raises(RuntimeError, match="mixed"):
        optimizer.step()
    with one_by_one(optimizer):
        optimizer.step()
    assert optimizer.param_groups[0]["foreach"] is True
    assert mixed[0].tolist() != [3.0, 4.0]
