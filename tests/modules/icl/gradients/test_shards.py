import multiprocessing
import socket

import pytest
import torch
import torch.distributed as dist
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor

from engine.parallel.fsdp2 import find_blocks
from modules.icl.gradients.documents import DocumentTable
from modules.icl.gradients.parameters import chosen_parameters
from modules.icl.gradients.similarity import Directions, loss_gradient, similarities
from tests.fixtures.document_gradients import row_loss, tiny_model, tokens

ROWS = 4
EXACT = {"rtol": 1e-10, "atol": 1e-12}


def scores(model, rows, task_rows):
    """Direction of a task, and scores of some rows, each a document."""
    token_BL = tokens(ROWS + 2)
    mask_BL = torch.ones_like(token_BL)
    names = chosen_parameters(model)
    losses = [lambda rows=rows: row_loss(model, token_BL, mask_BL, rows) for rows in task_rows]
    direction = loss_gradient(model, names, losses)
    table = DocumentTable(len(range(*rows.indices(ROWS))), token_BL.shape[1])
    own = lambda: row_loss(model, token_BL, mask_BL, rows)  # noqa: E731
    return direction, similarities(model, own, table, Directions.of([direction]))


def on_rank(rank, port, kind, tied, folder):
    torch.set_num_threads(1)
    method = f"tcp://127.0.0.1:{port}"
    dist.init_process_group("gloo", init_method=method, rank=rank, world_size=2)
    model = tiny_model(kind, tied)
    for module in (*find_blocks(model, None), model):
        fully_shard(module)
    assert all(isinstance(p, DTensor) for p in model.parameters())
    rows = slice(0, 1) if rank == 0 else slice(1, ROWS)
    direction, found = scores(model, rows, [slice(ROWS, ROWS + 2)])
    assert all(isinstance(p, DTensor) for p in model.parameters())  # gathered for passes only
    assert all(p.grad is None for p in model.parameters())
    part = (direction, found.products.product_NQ, found.square_N)
    torch.save(part, folder / f"{rank}.pt")
    dist.barrier()
    dist.destroy_process_group()


@pytest.mark.parametrize(("kind", "tied"), [("llama", True), ("opt", False)])
def test_of_shards_on_two_ranks_scores_are_those_of_whole_weights(kind, tied, tmp_path):
    """Ranks with one row and with three."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    context = multiprocessing.get_context("fork")
    ranks = [
        context.Process(target=on_rank, args=(rank, port, kind, tied, tmp_path))
        for rank in range(2)
    ]
    for process in ranks:
        process.start()
    for process in ranks:
        process.join(60)
        process.kill()
    assert [process.exitcode for process in ranks] == [0, 0]
    parts = [torch.load(tmp_path / f"{rank}.pt") for rank in range(2)]
    direction, found = scores(tiny_model(kind, tied), slice(0, ROWS), [slice(ROWS, ROWS + 2)])
    for part in parts:
        for name, value in direction.items():
            torch.testing.assert_close(part[0][name], value, **EXACT)
    product, square = (torch.cat([part[at] for part in parts]) for at in (1, 2))
    torch.testing.assert_close(product, found.products.product_NQ, **EXACT)
    torch.testing.assert_close(square, found.square_N, **EXACT)
