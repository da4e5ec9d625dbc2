import pytest
import torch

from modules.diffusion.diffusers_scheduler import FromDiffusers, betas
from modules.diffusion.noise import gaussian
from modules.diffusion.process import predict_noise
from modules.diffusion.sampler import Sampler
from modules.diffusion.schedule import CosineSchedule, LinearSchedule
from modules.diffusion.solver import DDIM, DDPM, DPMSolver

TRAILING = {"timestep_spacing": "trailing"}
FREE = {"clip_sample": False, **TRAILING}
PAIRS = [
    ("DDPMScheduler", FREE, DDPM()),
    ("DDIMScheduler", FREE, DDIM()),
    ("DPMSolverMultistepScheduler", TRAILING, DPMSolver()),
]


def network(x_t, t_B):
    return torch.tanh(0.8 * x_t - t_B[:, None] / 1000)


@pytest.mark.parametrize(("name", "options", "solver"), PAIRS)
@pytest.mark.parametrize("schedule", [CosineSchedule(), LinearSchedule()])
def test_a_scheduler_of_theirs_gives_the_samples_of_ours(name, options, solver, schedule):
    theirs = FromDiffusers(schedule, "v", name, 20, options)
    ours = Sampler(schedule, "v", solver, 20)

    def draw(source):
        generator = torch.Generator().manual_seed(0)
        return source.sample(network, gaussian((2, 5), generator), generator)

    torch.testing.assert_close(draw(theirs), draw(ours), rtol=1e-4, atol=1e-4)
    assert torch.equal(draw(theirs), draw(theirs))


def test_states_are_counted_as_ours():
    theirs = FromDiffusers(LinearSchedule(), "eps", "DDIMScheduler", 10, FREE)
    ours = Sampler(LinearSchedule(), "eps", DDIM(), 10)
    states = list(theirs.trajectory(network, torch.zeros(1, 2)))
    assert [state.step for state in states] == ours.path
    assert [state.num_done for state in states] == list(range(11))


def test_other_schedulers_of_theirs_bring_gaussian_data_home():
    schedule = LinearSchedule()

    def predict(x_t, t_B):
        abar_B = schedule.signal(t_B).float()
        alpha, noise = abar_B.sqrt()[:, None], (1 - abar_B)[:, None]
        share = alpha * 0.25 / (alpha**2 * 0.25 + noise)
        return predict_noise(x_t, 0.3 + share * (x_t - alpha * 0.3), abar_B)

    source = FromDiffusers(schedule, "eps", "UniPCMultistepScheduler", 50, TRAILING)
    x = source.sample(predict, gaussian((4000, 1), torch.Generator().manual_seed(0)))
    assert x.mean().item() == pytest.approx(0.3, abs=0.05)
    assert x.std().item() == pytest.approx(0.5, abs=0.05)


def test_betas_are_read_off_the_signal():
    schedule = LinearSchedule(50)
    torch.testing.assert_close(betas(schedule), schedule.betas())


def test_what_diffusers_lacks_is_refused_by_name():
    with pytest.raises(ValueError, match="has no NoSuchScheduler"):
        FromDiffusers(LinearSchedule(), "eps", "NoSuchScheduler")
    with pytest.raises(ValueError, match="max_beta"):
        FromDiffusers(CosineSchedule(max_beta=1.0), "v", "DDIMScheduler")
    with pytest.raises(ValueError, match="takes no betas"):
        FromDiffusers(LinearSchedule(), "eps", "FlowMatchEulerDiscreteScheduler")
