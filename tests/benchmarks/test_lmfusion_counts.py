from dataclasses import replace
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from benchmarks.baselines.fusion_cases import LLAMA_3_8B, FusionCase, Size, loss, spread, whole_loss
from benchmarks.baselines.fusion_minimum import least_bytes, least_flops
from benchmarks.baselines.naive_fusion import FusionRows, left_to_autograd, naive_loss
from benchmarks.bench.counting import executed_flops, saved_bytes
from benchmarks.bench.harness import Bench
from benchmarks.lmfusion_flops import GOAL_BYTES, Variants, check_losses, check_meta, count
from modules.lmfusion.network.mask import hybrid_mask
from tests.benchmarks.baselines.fusion_brute import brute_bytes, brute_flops

TINY = Size(32, 48, 3, 4, 2, 60, side=8, channels=3)
ORDERS = pytest.mark.parametrize("caption_first", [True, False])


@ORDERS
@pytest.mark.parametrize("frozen", [True, False])
def test_the_minimum_flops_are_those_counted_pair_by_pair(caption_first, frozen):
    case = FusionCase.of(TINY, [5, 9, 2], caption_first)
    assert least_flops(TINY, case.runs, frozen) == brute_flops(TINY, case, frozen)


@ORDERS
def test_the_minimum_bytes_are_those_counted_position_by_position(caption_first):
    case = FusionCase.of(TINY, [5, 9, 2], caption_first)
    assert least_bytes(TINY, case.runs) == brute_bytes(TINY, case)


@ORDERS
def test_no_step_needs_less_than_the_minimum(caption_first):
    case = FusionCase.of(TINY, [5, 9, 2], caption_first)
    system, dense = TINY.build(), TINY.build("none", freeze_text=False)
    assert executed_flops(lambda: loss(system, case)) >= least_flops(TINY, case.runs)
    assert executed_flops(lambda: loss(dense, case)) >= least_flops(TINY, case.runs, frozen=False)
    kept = saved_bytes(lambda: loss(system, case), system.parameters())
    assert kept >= least_bytes(TINY, case.runs)


def test_ours_computes_the_minimum_and_what_the_fused_kernel_and_boi_add():
    num_documents, prefix, n = 3, 7, TINY.num_patches
    case = FusionCase.of(TINY, [prefix] * num_documents)
    width, layers = TINY.width, TINY.num_layers
    extra = 0
    for length in (1, n):  # BOI, the image: scores once more, and dK and dV of the prefix
        end = prefix + 1 + (n if length == n else 0)
        blocks = layers if length == n else layers - 1
        extra += 2 * width * blocks * length * (end + 2 * prefix)
    # nothing reads BOI after the last block, but it is computed along
    keys = prefix + 1
    extra += 2 * width * 7 * keys + 4 * width**2
    extra += 2 * (width**2 + 3 * width * TINY.intermediate)
    system = TINY.build()
    executed = executed_flops(lambda: loss(system, case))
    assert executed == least_flops(TINY, case.runs) + num_documents * extra


@ORDERS
def test_ours_saves_hardly_more_than_the_minimum(caption_first):
    size = replace(LLAMA_3_8B, num_layers=4)
    system, case = size.build(device="meta"), FusionCase.of(size, spread(512), caption_first)
    kept = saved_bytes(partial(loss, system, case.to("meta")), system.parameters())
    assert kept <= GOAL_BYTES * least_bytes(size, case.runs)


@ORDERS
def test_all_implementations_give_the_same_loss_and_the_same_gradients(caption_first):
    case = FusionCase.of(TINY, [5, 9, 2], caption_first)
    rows = FusionRows.of(case)
    system, autograd = TINY.build(), left_to_autograd(TINY.build())
    implementations = {
        "ours": (system, lambda: whole_loss(system, case)),
        "autograd": (autograd, lambda: loss(autograd, case)),
        "boolean": (system, lambda: naive_loss(system, case, rows, "boolean")),
        "both": (system, lambda: naive_loss(system, case, rows, "both")),
    }
    results = {}
    for name, (trained, implementation) in implementations.items():
        trained.zero_grad()
        total = implementation()
        total.backward()
        gradients = {n: p.grad for n, p in trained.named_parameters() if p.grad is not None}
        results[name] = total.detach(), gradients
    our_total, our_gradients = results.pop("ours")
    for name, (total, gradients) in results.items():
        torch.testing.assert_close(total, our_total, msg=name)
        assert gradients.keys() == our_gradients.keys()
        for parameter, gradient in gradients.items():
            torch.testing.assert_close(gradient, our_gradients[parameter], rtol=1e-3, atol=1e-5)


@ORDERS
def test_what_is_left_out_of_our_loss_has_no_gradient_but_that_of_boi(caption_first):
    case, system = FusionCase.of(TINY, [5, 9, 2], caption_first), TINY.build()
    trained = {n: p for n, p in system.named_parameters() if p.requires_grad}
    ours, whole = (
        torch.autograd.grad(objective(system, case), list(trained.values()), allow_unused=True)
        for objective in (loss, whole_loss)
    )
    for name, our_gradient, gradient in zip(trained, ours, whole, strict=True):
        if not name.endswith("boi_output"):
            torch.testing.assert_close(our_gradient, gradient, msg=name)


def test_peers_are_checked_and_the_meta_device_too():
    case = FusionCase.of(TINY, [4, 6])
    check_losses(TINY, case)
    check_meta(TINY, case)


def test_rows_hold_the_documents_in_order_under_the_hybrid_mask():
    case = FusionCase.of(TINY, [5, 2], caption_first=False)
    rows, batch = FusionRows.of(case), case.batch
    of_second = batch["document_S"] == 1
    order = batch["position_S"][of_second].argsort()
    fields = [batch[name][of_second][order] for name in ("position_S", "document_S", "image_id_S")]
    length = len(order)
    assert torch.equal(rows.mask_B1LL[1, 0, :length, :length], hybrid_mask(*fields))
    assert rows.mask_B1LL.any(-1).all()
    assert torch.equal(rows.row_BL.flatten()[rows.slot_S], torch.arange(len(batch["position_S"])))


@pytest.mark.parametrize("device", ["cpu", "meta"])
@pytest.mark.parametrize(("is_causal", "num_pairs"), [(True, 15), (False, 25)])
def test_attention_is_counted_by_the_pairs_that_the_kernel_is_asked_for(
    device, is_causal, num_pairs
):
    query, key, value = (
        torch.zeros(2, 3, 5, 8, device=device, requires_grad=True) for _ in range(3)
    )

    def attend():
        return F.scaled_dot_product_attention(query, key, value, is_causal=is_causal).sum()

    assert executed_flops(attend) == 2 * 7 * 2 * 3 * 8 * num_pairs


def test_saved_bytes_are_those_of_the_inputs_each_once_without_parameters():
    layers = nn.ModuleList([nn.Linear(4, 6), nn.Linear(4, 6)])
    x = torch.zeros(3, 4)
    assert saved_bytes(lambda: layers[0](x).sum(), layers.parameters()) == 4 * x.numel()
    both = saved_bytes(lambda: (layers[0](x) + layers[1](x)).sum(), layers.parameters())
    assert both == 4 * x.numel()
    layers.requires_grad_(False)
    assert saved_bytes(lambda: layers[0](x).sum(), layers.parameters()) == 0


def test_every_batch_gives_a_row_of_flops_and_one_of_bytes():
    bench = Bench("lmfusion_flops", quick=True)
    count(bench, TINY, Variants.of(TINY, "meta"), "caption first", 40)
    flops, kept = bench.rows
    assert (flops.row, kept.row) == (2, 7)
    assert all(row.limit <= row.value < row.peer for row in bench.rows)
