import math

import pytest
import torch
from diffusers import DDPMScheduler

from modules.diffusion.schedule import (
    CosineSchedule,
    EvenSchedule,
    LinearSchedule,
    ShiftedSchedule,
    log_snr,
)


def formula(t: int, num_steps: int, s: float) -> float:
    phase = (t / num_steps + s) / (1 + s) * math.pi / 2
    return math.cos(phase) ** 2 / math.cos(s / (1 + s) * math.pi / 2) ** 2


@pytest.mark.parametrize("num_steps", [10, 50, 1000])
def test_the_cosine_schedule_is_its_formula_at_whole_and_real_steps(num_steps):
    expected = [formula(t, num_steps, 0.008) for t in range(num_steps + 1)]
    schedule = CosineSchedule(num_steps, max_beta=1.0)
    for step in (torch.arange(num_steps + 1), torch.arange(num_steps + 1.0)):
        torch.testing.assert_close(schedule.signal(step).tolist(), expected, rtol=1e-12, atol=1e-15)
    between = schedule.signal(torch.tensor(0.5)).item()
    assert between == pytest.approx(formula(1, 2 * num_steps, 0.008))


def test_bounded_betas_are_the_references_to_the_last_bit():
    theirs = DDPMScheduler(beta_schedule="squaredcos_cap_v2")
    ours = CosineSchedule(1000)
    assert torch.equal(ours.betas().float(), theirs.betas)
    abar = ours.signal(torch.arange(1, 1001))
    torch.testing.assert_close(abar.float(), theirs.alphas_cumprod, rtol=1e-4, atol=0)


def test_the_bound_changes_only_the_steps_that_pass_it():
    step = torch.arange(1001)
    free = CosineSchedule(max_beta=1.0).signal(step)
    bound = CosineSchedule().signal(step)
    torch.testing.assert_close(bound[:-1], free[:-1], rtol=1e-10, atol=0)
    assert free[0] == 1
    assert free[-1] == 0
    assert bound[-1].item() == pytest.approx(1e-3 * free[-2].item())


def test_linear_betas_are_the_references():
    theirs = DDPMScheduler(beta_schedule="linear")
    ours = LinearSchedule()
    torch.testing.assert_close(ours.betas().float(), theirs.betas, rtol=1e-6, atol=0)
    abar = ours.signal(torch.arange(1, 1001)).float()
    torch.testing.assert_close(abar, theirs.alphas_cumprod, rtol=1e-4, atol=0)


@pytest.mark.parametrize("schedule", [CosineSchedule(), LinearSchedule(), CosineSchedule(20)])
def test_a_schedule_starts_clean_and_falls_at_every_step(schedule):
    abar = schedule.signal(torch.arange(schedule.num_steps + 1))
    assert abar[0] == 1
    assert (abar.diff() < 0).all()
    assert (abar > 0).all()
    assert abar.dtype == torch.float64


def test_log_snr_is_signal_over_noise_and_infinite_where_there_is_no_noise():
    abar = LinearSchedule().signal(torch.tensor([0, 1, 500, 1000]))
    expected = [math.inf] + [math.log(a / (1 - a)) for a in abar[1:].tolist()]
    torch.testing.assert_close(log_snr(abar).tolist(), expected)


def test_steps_keep_their_shape():
    step = torch.tensor([[0, 3], [5, 9]])
    for schedule in (CosineSchedule(10), CosineSchedule(10, max_beta=1.0), LinearSchedule(10)):
        assert schedule.signal(step).shape == (2, 2)


def test_equal_schedules_are_one_key():
    assert CosineSchedule(10) == CosineSchedule(10)
    assert len({CosineSchedule(10), CosineSchedule(10), LinearSchedule(10)}) == 2


def test_what_is_no_schedule_is_refused():
    with pytest.raises(ValueError, match="at least 1, got 0"):
        CosineSchedule(0)
    with pytest.raises(ValueError, match="max_beta"):
        CosineSchedule(max_beta=0)
    with pytest.raises(ValueError, match="offset"):
        CosineSchedule(offset=-1)
    with pytest.raises(ValueError, match=r"got 0.1 to 0.01"):
        LinearSchedule(10, 0.1, 0.01)
    with pytest.raises(TypeError, match="whole"):
        LinearSchedule(10).signal(torch.tensor(1.5))


def test_a_shift_moves_log_snr_and_a_shift_back_undoes_it():
    step = torch.arange(1, 1000)
    cosine = CosineSchedule()
    shifted = ShiftedSchedule(cosine, 0.125)
    moved = log_snr(shifted.signal(step)) - log_snr(cosine.signal(step))
    torch.testing.assert_close(moved, torch.full_like(moved, 2 * math.log(0.125)))
    back = ShiftedSchedule(shifted, 8.0)
    torch.testing.assert_close(back.signal(step), cosine.signal(step))
    assert shifted.num_steps == 1000
    assert shifted.signal(torch.tensor(0)) == 1
    drawn = ShiftedSchedule(cosine, 0.125, spread=0.5)
    moved = log_snr(drawn.signal(step)) - log_snr(cosine.signal(step)) / 2
    torch.testing.assert_close(moved, torch.full_like(moved, 2 * math.log(0.125)))
    assert drawn.signal(torch.tensor(0)) == 1
    assert hash(shifted) == hash(ShiftedSchedule(cosine, 0.125))


def test_a_shift_by_one_changes_nothing_and_by_zero_is_refused():
    step = torch.arange(1001)
    same = ShiftedSchedule(LinearSchedule(), 1.0).signal(step)
    torch.testing.assert_close(same, LinearSchedule().signal(step))
    with pytest.raises(ValueError, match="above 0, got 0"):
        ShiftedSchedule(LinearSchedule(), 0)
    with pytest.raises(ValueError, match="spread must be above 0, got -1"):
        ShiftedSchedule(LinearSchedule(), 1, -1)


def test_even_signal_falls_by_the_same_amount_at_each_step():
    found = EvenSchedule(8).signal(torch.arange(9))
    assert found.tolist() == [1 - t / 8 for t in range(9)]
    assert EvenSchedule(8).signal(torch.tensor(0.5)).item() == 1 - 1 / 16
    with pytest.raises(ValueError, match="num_steps"):
        EvenSchedule(0)
