import pytest
import torch
from torch.autograd.graph import saved_tensors_hooks

from modules.lmfusion.network.attention import run_attention
from modules.lmfusion.network.mask import Plan, hybrid_mask
from tests.fixtures.lmfusion_parts import DOCUMENTS, arrange


def elements(documents, n):
    """(document, position, image) of every element, in the order of the batch."""
    prefix, later, patches = [], [], []
    for number, document in enumerate(documents):
        position, kind = 0, prefix
        for element in document:
            if isinstance(element, tuple):
                patches += [(number, position + i, element[0]) for i in range(n)]
                position += n
            else:
                kind = later if element == -1 else kind
                kind.append((number, position, -1))
                position += 1
    return prefix + later + patches


def test_the_mask_is_the_papers_rule():
    every = elements(DOCUMENTS, 3)
    document, position, image = (torch.tensor(column) for column in zip(*every, strict=True))
    mask = hybrid_mask(position, document, image)
    for i, (d, p, m) in enumerate(every):
        for j, (e, q, o) in enumerate(every):
            assert mask[i, j] == (d == e and (q <= p or (m == o >= 0)))


@pytest.mark.parametrize("live_prefix", [False, True])
@pytest.mark.parametrize("n", [1, 4, 70])
def test_attention_by_runs_is_attention_under_the_mask(n, live_prefix):
    torch.manual_seed(0)
    documents = [*DOCUMENTS, [1] * 90 + [-1, (4,), -2, 2], [7] * 3]
    _, position, runs = arrange(documents, n)
    every = elements(documents, n)
    document = torch.tensor([d for d, _, _ in every])
    image = torch.tensor([m for _, _, m in every])
    mask = hybrid_mask(position, document, image)
    q, k, v = (torch.randn(len(every), h, 5, dtype=torch.float64) for h in (4, 2, 2))
    start = 0 if live_prefix else sum(runs.lengths(0))
    plan = Plan.of(runs, live_prefix=live_prefix)
    attended = run_attention(q[start:], k, v, plan, scale=0.3)
    key, value = (x.repeat_interleave(2, 1) for x in (k, v))
    score = torch.einsum("qhk,shk->hqs", q, key) * 0.3
    weight = score.masked_fill(~mask, -torch.inf).softmax(-1)
    wanted = torch.einsum("hqs,shk->qhk", weight, value)[start:]
    torch.testing.assert_close(attended, wanted, rtol=1e-10, atol=1e-10)


def test_keys_and_values_are_kept_at_their_own_width():
    _, _, runs = arrange([[1, 2, 3, -1, (0,), -2, 4, 5]], 16)
    q, k, v = (torch.randn(24, heads, 5, requires_grad=True) for heads in (8, 2, 2))
    plan, sizes = Plan.of(runs, live_prefix=True), []
    with saved_tensors_hooks(lambda t: sizes.append(t.numel()) or t, lambda t: t):
        run_attention(q, k, v, plan, scale=0.3)
    most_queries = max(g.num_runs * g.num_queries for g in plan.groups) * q[0].numel()
    most_keys = max(g.num_runs * g.num_keys for g in plan.groups) * k[0].numel()
    assert max(sizes) == max(most_queries, most_keys)


def test_work_grows_with_the_documents_and_not_with_their_square():
    def work(num):
        _, _, runs = arrange([[1, 2, 3, -1, (i,), -2] for i in range(num)], 16)
        return sum(g.num_runs * g.num_queries * g.num_keys for g in Plan.of(runs).groups)

    assert work(40) == 4 * work(10)
