"""Paths of sampling that amplify errors of the network, or leave the schedule, are refused."""

import pytest
import torch

from modules.diffusion.noise import gaussian
from modules.diffusion.projection import Clip
from modules.diffusion.sampler import Sampler
from modules.diffusion.schedule import CosineSchedule, LinearSchedule
from modules.diffusion.solver import DDIM, DDPM, DPMSolver


def test_pure_noise_cannot_tell_x_0_from_eps():
    schedule = CosineSchedule(100, max_beta=1.0)
    with pytest.raises(ValueError, match=r"step 100.*predict v.*first: 99"):
        Sampler(schedule, "eps", DDIM(), 10)
    Sampler(schedule, "eps", DDIM(), 20, first=99)
    Sampler(schedule, "v", DDIM(), 10)


def spreads(sampler: Sampler, error: float) -> list[float]:
    """Spread of N(0, 1) data at each step, drawn by a network whose eps is a little wrong."""
    generator = torch.Generator().manual_seed(3)

    def predict(x_t, t_B):
        eps = (1 - sampler.schedule.signal(t_B)).sqrt()[:, None].float() * x_t
        return eps + error * torch.randn(x_t.shape, generator=generator)

    start = torch.randn(1, 20_000, generator=generator)
    return [float(s.x.std()) for s in sampler.trajectory(predict, start, generator)]


@pytest.mark.parametrize("error", [0.0, 0.01, 0.03])
@pytest.mark.parametrize(("solver", "num_steps"), [(DDPM(), 250), (DPMSolver(), 50), (DDIM(), 50)])
def test_an_error_in_eps_stays_small_where_it_is_not_refused(solver, num_steps, error):
    sampler = Sampler(CosineSchedule(), "eps", solver, num_steps, "leading")
    assert all(abs(spread - 1) < 0.1 for spread in spreads(sampler, error))


@pytest.mark.parametrize(("solver", "num_steps"), [(DDPM(), 250), (DPMSolver(), 50), (DDIM(), 50)])
@pytest.mark.parametrize("spacing", ["trailing", "uniform", "quadratic"])
def test_steps_that_multiply_an_error_in_eps_are_refused(solver, num_steps, spacing):
    with pytest.raises(ValueError, match=r"from 1000 to \d+ would multiply the error .* by \d+"):
        Sampler(CosineSchedule(), "eps", solver, num_steps, spacing)
    for kind in ("v", "x_0"):
        Sampler(CosineSchedule(), kind, solver, num_steps, spacing)
    Sampler(CosineSchedule(), "eps", solver, num_steps, spacing, limit=Clip())
    Sampler(CosineSchedule(), "eps", solver, num_steps, spacing, first=990)


def test_a_path_outside_the_schedule_is_refused():
    with pytest.raises(ValueError, match=r"\[1, 100\].*got 101"):
        Sampler(LinearSchedule(100), "eps", DDIM(), 101)
    with pytest.raises(ValueError, match="first 101"):
        Sampler(LinearSchedule(100), "eps", DDIM(), 10, first=101)
    with pytest.raises(ValueError, match="first 0"):
        Sampler(LinearSchedule(100), "eps", DDIM(), 10, first=0)
    with pytest.raises(ValueError, match="eta"):
        DDIM(1.5)
    with pytest.raises(ValueError, match="2 generators for 3 samples"):
        gaussian((3, 1), [torch.Generator(), torch.Generator()])
