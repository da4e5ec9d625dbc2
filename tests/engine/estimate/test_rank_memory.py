import numpy as np
import pytest

from engine.estimate.rank_memory import PaperModel, RankLayout, on_rank, sent
from engine.measure.paper_step import PaperStep, ParameterSize

N = 1000
"""Trained parameters, in 32 bits."""
FROZEN = 500
"""Frozen ones, in 16 bits."""


def model(is_half=False, average=0):
    wide = 2 if is_half else 4
    size = ParameterSize(N, FROZEN, wide * N, 2 * FROZEN)
    passes = np.array([[size.total_bytes, wide * N, 2 * wide * N, 700, 30]])
    update = np.array([[size.total_bytes, wide * N, 2 * wide * N, 0, wide * N]])
    step = PaperStep(size, 2 * wide * N, passes, update, 10, 0)
    block = ParameterSize(100, 50, wide * 100, 100)
    rest = ParameterSize(200, 0, wide * 200, 0)
    return PaperModel(step, block, rest, average, is_half)


def test_ddp_holds_everything_on_every_gpu():
    for devices in (1, 8, 64):
        found = on_rank(model(average=4 * N), RankLayout("ddp", devices))
        assert (found.weights, found.gradients) == (4 * N + 2 * FROZEN, 4 * N)
        assert (found.optimizer, found.average, found.gathered) == (8 * N, 4 * N, 0)
        assert found.temporary == 4 * N  # of the update, which takes more than 730 bytes
        assert found.is_update


def test_fsdp2_splits_all_but_activations_and_gathers_blocks():
    found = on_rank(model(average=4 * N), RankLayout("fsdp2", 10))
    assert found.weights == (4 * N + 2 * FROZEN) // 10
    assert (found.gradients, found.optimizer, found.average) == (400, 800, 400)
    assert (found.activations, found.temporary) == (700, 30)
    rest, block = 4 * 200 * 2, 4 * 100 * 2 + 100
    assert found.gathered == rest + 2 * block


def test_hsdp_splits_within_a_machine_alone():
    wide, narrow = RankLayout("hsdp", 64, node=8), RankLayout("fsdp2", 8)
    assert on_rank(model(), wide) == on_rank(model(), narrow)


def test_zero_keeps_16_bits_of_weights_and_a_share_of_all_else():
    found = on_rank(model(is_half=True), RankLayout("zero2", 10))
    assert found.weights == 2 * N + 2 * FROZEN
    assert found.gradients == 2 * N // 10
    assert found.optimizer == 12 * N // 10  # master weights and two moments in 32 bits
    assert found.gathered == 2 * 2 * N  # buckets are no larger than what is trained
    third = on_rank(model(is_half=True), RankLayout("zero3", 10))
    assert third.weights == (2 * N + 2 * FROZEN) // 10


def test_offloading_moves_the_shares_of_a_machine_to_its_memory():
    found = on_rank(model(is_half=True), RankLayout("zero3_offload", 16, node=8))
    assert (found.weights, found.gradients, found.optimizer) == (0, 0, 0)
    assert found.host == pytest.approx(8 * (16 * N + 2 * FROZEN) / 16, abs=16)


def test_bytes_sent_are_those_of_rings():
    four = RankLayout("ddp", 4)
    assert sent(model(), four, micro_batches=3) == 2 * 3 * 4 * N // 4  # once a step
    sharded = sent(model(), RankLayout("fsdp2", 4), micro_batches=1)
    whole, rest = 4 * N + 2 * FROZEN, 4 * 200
    assert sharded == 3 * (2 * whole - rest + 4 * N) // 4
    assert sent(model(), RankLayout("fsdp2", 4), 3) == pytest.approx(3 * sharded, abs=3)
    assert sent(model(), RankLayout("ddp", 1), 1) == 0
    hybrid = sent(model(), RankLayout("hsdp", 64, node=8), 1)
    inside = 7 * (2 * whole - rest + 4 * N) // 8
    assert hybrid == pytest.approx(inside + 2 * 7 / 8 * 4 * N / 8, abs=2)


def test_more_gpus_never_take_more_of_each():
    for name in ("fsdp2", "zero2", "zero3"):
        totals = [on_rank(model(True), RankLayout(name, n)).total for n in (1, 2, 8, 64)]
        assert totals == sorted(totals, reverse=True)
