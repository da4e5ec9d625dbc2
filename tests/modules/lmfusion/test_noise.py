import pytest
import torch

from modules.diffusion.schedule import CosineSchedule, LinearSchedule, ShiftedSchedule
from modules.lmfusion.noise import add, draw_steps, largest_readable_step


def steps(num, limit=None, first=(), context=()):
    is_first = torch.tensor([i in first for i in range(num)], dtype=torch.bool)
    is_target = torch.tensor([i not in context for i in range(num)], dtype=torch.bool)
    return draw_steps(is_target, is_first, 1000, limit)


def test_the_steps_of_a_batch_are_spread_evenly():
    torch.manual_seed(0)
    for _ in range(20):
        step_I = steps(10).sort().values
        assert ((step_I - 1) // 100).tolist() == list(range(10))


def test_each_image_has_any_step_as_likely_as_the_next():
    torch.manual_seed(0)
    step_RI = torch.stack([steps(4) for _ in range(4000)])
    assert (step_RI.min(), step_RI.max()) == (1, 1000)
    share = (
        torch.stack([torch.bincount((row - 1) // 100, minlength=10) for row in step_RI.T]) / 4000
    )
    torch.testing.assert_close(share, torch.full((4, 10), 0.1), rtol=0, atol=0.02)


def test_an_image_before_its_caption_stays_below_the_limit_and_context_is_clean():
    torch.manual_seed(0)
    step_RI = torch.stack([steps(3, 500, first={0}, context={2}) for _ in range(2000)])
    assert (step_RI[:, 0].min(), step_RI[:, 0].max()) == (1, 500)
    assert step_RI[:, 1].max() > 990
    assert (step_RI[:, 2] == 0).all()


def test_a_draw_that_rounds_up_to_one_is_still_within_the_limit(monkeypatch):
    almost = torch.tensor([1 - 2**-24])
    monkeypatch.setattr(torch, "rand", lambda num, **_: almost.expand(num))
    assert steps(3, 500, first={0, 1, 2}).max() == 500
    assert steps(3).max() == 1000


@pytest.mark.parametrize("schedule", [CosineSchedule(), CosineSchedule(100), LinearSchedule()])
@pytest.mark.parametrize("least", [0.2, 0.493, 0.9])
def test_images_that_are_read_keep_the_signal_asked_for_whatever_the_schedule(schedule, least):
    last = largest_readable_step(schedule, least)
    left = [float(schedule.signal(torch.tensor(step))) for step in (last, last + 1)]
    assert left[0] >= least > left[1]


def test_images_that_are_read_stay_clean_where_all_signal_is_asked_for():
    shifted = ShiftedSchedule(CosineSchedule(), factor=0.125, spread=0.5)
    assert largest_readable_step(shifted, 1) == 0
    step_RI = torch.stack([steps(3, 0, first={0}) for _ in range(50)])
    assert (step_RI[:, 0] == 0).all()
    assert (step_RI[:, 1:] > 0).all()
    latent, step = torch.randn(2, 3, 4, 4), torch.tensor([0, 700])
    noised = add(latent, step, shifted, "x_0")
    assert torch.equal(noised.latent_ICHW[0], latent[0])
    assert torch.equal(noised.target_ICHW, latent)


def test_half_of_the_cosine_schedule_is_the_papers_limit():
    assert largest_readable_step(CosineSchedule(), 0.493) == 500


def test_a_schedule_whose_first_step_hides_the_image_cannot_teach_reading():
    shifted = ShiftedSchedule(CosineSchedule(), factor=0.125, spread=0.5)
    with pytest.raises(ValueError, match=r"leaves only 0\.709 .*image_first: clean"):
        largest_readable_step(shifted, 0.493)


def test_no_images_no_steps():
    assert steps(0).shape == (0,)


def test_context_is_shown_as_it_is_and_targets_are_noised():
    torch.manual_seed(0)
    latent = torch.randn(2, 3, 4, 4)
    schedule = CosineSchedule()
    step = torch.tensor([0, 700])
    for kind in ("eps", "v", "x_0"):
        noised = add(latent, step, schedule, kind, torch.Generator().manual_seed(1))
        noise = torch.randn(latent.shape, generator=torch.Generator().manual_seed(1))
        assert torch.equal(noised.latent_ICHW[0], latent[0])
        alpha, sigma = schedule.signal(step)[1].sqrt(), (1 - schedule.signal(step)[1]).sqrt()
        x_t = alpha * latent[1] + sigma * noise[1]
        torch.testing.assert_close(noised.latent_ICHW[1], x_t)
        wanted = {"eps": noise[1], "v": alpha * noise[1] - sigma * latent[1], "x_0": latent[1]}
        torch.testing.assert_close(noised.target_ICHW[1], wanted[kind])
