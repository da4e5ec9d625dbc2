import pytest
import torch

from benchmarks import attention, lmfusion_step
from benchmarks.attention import check, compare_growth
from benchmarks.baselines.fusion_cases import FusionCase, Size
from benchmarks.bench.harness import Bench
from benchmarks.lmfusion_step import compare, compare_with_peer, naive_step, our_step

CPU = torch.device("cpu")
TINY = Size(32, 48, 2, 4, 2, 60, side=8, channels=3)


@pytest.mark.parametrize("dense", [True, False])
def test_a_step_trains_what_it_should_and_leaves_frozen_text_alone(dense):
    step = our_step(TINY, FusionCase.of(TINY, [5, 9]), CPU, dense)
    network = step.forward.args[0].fusion
    before = network.blocks[0].text.mlp.up_proj.weight.clone()
    first = step.forward().item()
    for _ in range(3):
        assert step() > 0
    assert step.forward().item() < first
    assert torch.equal(before, network.blocks[0].text.mlp.up_proj.weight) is not dense


def test_ours_and_the_peer_train_the_same_weights():
    case = FusionCase.of(TINY, [5, 9])
    ours, peer = our_step(TINY, case, CPU), naive_step(TINY, case, CPU)
    assert ours.num_trained == peer.num_trained > 0


def test_the_limit_comes_from_the_shapes(monkeypatch):
    monkeypatch.setattr(lmfusion_step, "LENGTHS", {40: (30, 50)})
    bench = Bench("lmfusion_step", quick=True)
    compare(bench, TINY, 40)
    (row,) = bench.rows
    assert 0.3 < row.limit < 1
    assert row.goal == pytest.approx(1.1 * row.limit)


def test_a_peer_that_is_not_installed_is_left_out_with_a_message(monkeypatch, capsys):
    monkeypatch.setattr(lmfusion_step, "find_spec", lambda name: None)
    bench = Bench("lmfusion_step", quick=True)
    compare_with_peer(bench)
    assert bench.rows == []
    assert "uv run --with transfusion-pytorch" in capsys.readouterr().err


@pytest.mark.parametrize("caption_first", [True, False])
def test_planned_attention_is_that_of_the_dense_mask(caption_first):
    check(FusionCase.of(TINY, [5, 9, 2], caption_first), CPU)


def test_attention_under_another_mask_is_not_timed(monkeypatch):
    causal = attention.dense(FusionCase.of(TINY, [40]), CPU)
    monkeypatch.setattr(attention, "planned", lambda case, device: causal)
    with pytest.raises(RuntimeError, match="output differs by up to"):
        check(FusionCase.of(TINY, [20, 3]), CPU)


def test_growth_is_timed_over_four_times_as_many_documents(monkeypatch):
    monkeypatch.setattr(attention, "SIZE", TINY)
    bench = Bench("attention", quick=True)
    compare_growth(bench, (5, 9))
    (details,) = (d for name, d in bench.details.items() if name.startswith("attention"))
    assert details["positions"]["4S"] == 4 * details["positions"]["S"]
    assert bench.rows[0].limit == 4.0
