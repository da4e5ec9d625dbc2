from collections.abc import Callable

import pytest
import torch
from diffusers import DDIMScheduler, DDPMScheduler, DPMSolverMultistepScheduler
from jsonargparse import ArgumentParser

from modules.diffusion.noise import gaussian
from modules.diffusion.process import Prediction, predict_noise, target
from modules.diffusion.projection import Clip, DynamicThreshold
from modules.diffusion.sampler import Sampler, SampleSource
from modules.diffusion.schedule import CosineSchedule, LinearSchedule, Schedule
from modules.diffusion.solver import DDIM, DDPM, DPMSolver

THEIR_KIND = {"eps": "epsilon", "v": "v_prediction", "x_0": "sample"}


THEIR_SCHEDULE = {"cosine": "squaredcos_cap_v2", "linear": "linear"}


SCHEDULES = {"cosine": CosineSchedule(), "linear": LinearSchedule()}


CASES = [("linear", "eps"), ("linear", "v"), ("linear", "x_0"), ("cosine", "v"), ("cosine", "x_0")]


def network(x_t: torch.Tensor, t_B: torch.Tensor) -> torch.Tensor:
    """Something smooth that depends on the sample and the step."""
    share = (t_B.float() / 1000).view(-1, *[1] * (x_t.ndim - 1))
    return torch.tanh(0.8 * x_t + 0.3 * x_t.roll(1, -1) - share)


def noise(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1))


def by_reference(scheduler, sampler, x, **options):
    """The loop of diffusers, whose steps count from 0 where ours count from 1.

    Its tables are rounded to float32; it gets them in float64, and so differs by its formulas only.
    """
    abar = sampler.schedule.signal(torch.arange(1, 1001))
    scheduler.alphas_cumprod = abar
    if isinstance(scheduler, DPMSolverMultistepScheduler):
        visited = torch.tensor(sampler.signals, dtype=torch.float64)
        scheduler.sigmas = ((1 - visited) / visited).sqrt()
    generator = torch.Generator().manual_seed(2)
    for index in scheduler.timesteps:
        output = network(x, torch.full((len(x),), int(index) + 1))
        x = scheduler.step(output, index, x, generator=generator, **options).prev_sample
    return x


def by_us(sampler, x):
    return sampler.sample(network, x, torch.Generator().manual_seed(2))


def options(schedule: str, kind: str) -> dict[str, str]:
    return {"beta_schedule": THEIR_SCHEDULE[schedule], "prediction_type": THEIR_KIND[kind]}


@pytest.mark.parametrize(("schedule", "kind"), CASES)
@pytest.mark.parametrize(
    ("num_steps", "spacing", "theirs", "variance"),
    [
        (20, "trailing", "trailing", "fixed_small"),
        (7, "trailing", "trailing", "fixed_small"),
        (10, "leading", "leading", "fixed_small"),
        (10, "leading", "leading", "fixed_large"),
        (100, "uniform", "linspace", "fixed_large"),
    ],
)
def test_ddpm_is_the_reference_with_the_same_noise(
    schedule, kind, num_steps, spacing, theirs, variance
):
    scheduler = DDPMScheduler(
        **options(schedule, kind),
        variance_type=variance,
        timestep_spacing=theirs,
        clip_sample=False,
    )
    scheduler.set_timesteps(num_steps)
    solver = DDPM(large_variance=variance == "fixed_large")
    sampler = Sampler(SCHEDULES[schedule], kind, solver, num_steps, spacing)
    assert sampler.path[:-1] == (scheduler.timesteps + 1).tolist()
    expected = by_reference(scheduler, sampler, noise(2, 3, 4))
    torch.testing.assert_close(by_us(sampler, noise(2, 3, 4)), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("schedule", "kind"), CASES)
@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("spacing", ["trailing", "leading"])
def test_ddim_is_the_reference_with_the_same_noise(schedule, kind, eta, spacing):
    scheduler = DDIMScheduler(
        **options(schedule, kind), timestep_spacing=spacing, clip_sample=False
    )
    scheduler.set_timesteps(20)
    sampler = Sampler(SCHEDULES[schedule], kind, DDIM(eta), 20, spacing)
    expected = by_reference(scheduler, sampler, noise(2, 3, 4), eta=eta)
    torch.testing.assert_close(by_us(sampler, noise(2, 3, 4)), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("schedule", "kind"), CASES)
@pytest.mark.parametrize(("num_steps", "spacing"), [(10, "trailing"), (25, "quadratic")])
@pytest.mark.parametrize("is_lower", [True, False])
@pytest.mark.parametrize("last", [0, 1])
def test_dpm_solver_is_the_reference(schedule, kind, num_steps, spacing, is_lower, last):
    scheduler = DPMSolverMultistepScheduler(
        **options(schedule, kind),
        lower_order_final=is_lower,
        final_sigmas_type="sigma_min" if last else "zero",
    )
    sampler = Sampler(SCHEDULES[schedule], kind, DPMSolver(is_lower), num_steps, spacing, last=last)
    scheduler.set_timesteps(timesteps=[step - 1 for step in sampler.path[:-1]])
    expected = by_reference(scheduler, sampler, noise(2, 3, 4))
    torch.testing.assert_close(by_us(sampler, noise(2, 3, 4)), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("quantity", ["clip", "threshold"])
def test_limits_are_the_references(quantity):
    is_clip = quantity == "clip"
    limit = Clip(0.7) if is_clip else DynamicThreshold(0.9)
    theirs = {"clip_sample": is_clip, "clip_sample_range": 0.7, "thresholding": not is_clip}
    theirs |= {"dynamic_thresholding_ratio": 0.9, "sample_max_value": 1e9}
    ddpm = DDPMScheduler(**theirs, timestep_spacing="trailing")
    ddim = DDIMScheduler(**theirs, timestep_spacing="trailing")
    for scheduler, solver, extra in [
        (ddpm, DDPM(), {}),
        (ddim, DDIM(0.5), {"eta": 0.5, "use_clipped_model_output": True}),
    ]:
        scheduler.set_timesteps(20)
        sampler = Sampler(LinearSchedule(), "eps", solver, 20, limit=limit)
        expected = by_reference(scheduler, sampler, 2 * noise(2, 3, 4), **extra)
        actual = by_us(sampler, 2 * noise(2, 3, 4))
        torch.testing.assert_close(actual, expected, rtol=1e-5, atol=1e-5)


def test_thresholding_leaves_what_is_in_range_and_scales_the_rest():
    x_0 = torch.tensor([[0.5, -0.9, 0.1], [4.0, -2.0, 1.0]])
    limited = DynamicThreshold(quantile=1.0).apply(x_0)
    torch.testing.assert_close(limited, torch.tensor([[0.5, -0.9, 0.1], [1.0, -0.5, 0.25]]))
    assert DynamicThreshold(1.0, largest=2.0).apply(x_0)[1].tolist() == [1.0, -1.0, 0.5]


MEAN, SPREAD = 0.3, 0.5


def of_gaussian(schedule, kind):
    """The exact network where the data are N(MEAN, SPREAD^2)."""

    def predict(x_t, t_B):
        abar_B = schedule.signal(t_B)
        alpha, sigma = abar_B.sqrt()[:, None], (1 - abar_B).sqrt()[:, None]
        share = alpha * SPREAD**2 / (alpha**2 * SPREAD**2 + sigma**2)
        x_0 = MEAN + share * (x_t - alpha * MEAN)
        return target(kind, x_0, predict_noise(x_t, x_0, abar_B), abar_B)

    return predict


@pytest.mark.parametrize("solver", [DDPM(), DDPM(True), DDIM(), DDIM(1.0), DPMSolver()], ids=repr)
@pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)
@pytest.mark.parametrize(("num_steps", "kind"), [(10, "x_0"), (50, "v"), (250, "eps")])
def test_gaussian_data_come_out_with_their_mean_and_spread(solver, schedule, num_steps, kind):
    num = 20000
    generator = torch.Generator().manual_seed(0)
    start = gaussian((num, 1), generator, dtype=torch.float64)
    spacing = "leading" if kind == "eps" else "trailing"
    sampler = Sampler(schedule, kind, solver, num_steps, spacing)
    x = sampler.sample(of_gaussian(schedule, kind), start, generator)
    chance = 5 * SPREAD / num**0.5
    assert abs(x.mean().item() - MEAN) < chance + 0.3 / num_steps
    assert abs(x.std().item() - SPREAD) < chance + 3 / num_steps


def error_of(solver, num_steps):
    """Error of the spread, exact: with exact predictions, samples are affine in the noise."""
    schedule = CosineSchedule(100_000)
    sampler = Sampler(schedule, "v", solver, num_steps)
    ends = torch.tensor([[0.0], [1.0]], dtype=torch.float64)
    at_0, at_1 = sampler.sample(of_gaussian(schedule, "v"), ends)
    assert at_0.item() == pytest.approx(MEAN, abs=1e-6)
    return abs((at_1 - at_0).item() - SPREAD)


def test_ddim_converges_at_first_order_and_dpm_solver_faster():
    assert error_of(DDIM(), 50) / error_of(DDIM(), 100) == pytest.approx(2, abs=0.1)
    assert error_of(DPMSolver(), 50) / error_of(DPMSolver(), 100) > 3
    assert error_of(DPMSolver(), 50) < error_of(DDIM(), 50) / 20


def test_full_noise_makes_ddim_ancestral():
    schedule = CosineSchedule()
    ddpm, ddim = (Sampler(schedule, "v", solver, 20) for solver in (DDPM(), DDIM(1.0)))
    torch.testing.assert_close(by_us(ddim, noise(2, 5)), by_us(ddpm, noise(2, 5)))


def test_a_perfect_network_is_followed_to_its_sample_by_every_solver():
    x_0 = noise(2, 3, 2)
    for solver in (DDPM(), DDIM(), DDIM(0.5), DPMSolver()):
        sampler = Sampler(CosineSchedule(max_beta=1.0), "x_0", solver, 10)
        x = sampler.sample(lambda x_t, t_B: x_0, noise(2, 3, 2) * 3)
        torch.testing.assert_close(x, x_0)


def test_steps_by_hand_are_the_trajectory_and_leave_states_as_they_are():
    sampler = Sampler(LinearSchedule(), "eps", DPMSolver(), 12)
    states = list(sampler.trajectory(network, noise(2, 5)))
    assert [state.step for state in states] == sampler.path
    state = sampler.start(noise(2, 5))
    while not sampler.is_done(state):
        kept = state.x.clone()
        following = sampler.advance(state, network(state.x, sampler.steps(state)))
        assert torch.equal(state.x, kept)
        state = following
    assert torch.equal(state.x, states[-1].x)
    assert torch.equal(state.x, sampler.sample(network, noise(2, 5)))


def test_a_sample_with_its_own_generator_ignores_its_batch():
    sampler = Sampler(LinearSchedule(), "v", DDPM(), 10)

    def draw(seeds):
        generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        return sampler.sample(network, gaussian((len(seeds), 4), generators), generators)

    torch.testing.assert_close(draw([5, 6, 7])[1:2], draw([6]))


def test_no_graph_is_kept_and_the_dtype_stays():
    weight = torch.ones(1, requires_grad=True)
    sampler = Sampler(LinearSchedule(), "eps", DDIM(), 10)
    start = noise(2, 4).bfloat16()
    x = sampler.sample(lambda x_t, t_B: weight * network(x_t, t_B).float(), start)
    assert not x.requires_grad
    assert x.dtype == torch.bfloat16


def test_a_sampler_can_be_asked_for_in_yaml():
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--sampler", type=Callable[[Schedule, Prediction], SampleSource])
    wanted = {
        "class_path": "modules.diffusion.sampler.Sampler",
        "init_args": {
            "solver": {"class_path": "modules.diffusion.solver.DDIM", "init_args": {"eta": 0.5}},
            "num_steps": 25,
            "limit": {"class_path": "modules.diffusion.projection.Clip"},
        },
    }
    made = parser.instantiate(parser.parse_object({"sampler": wanted}))
    sampler = made.sampler(CosineSchedule(), "v")
    assert (sampler.solver, sampler.num_steps, sampler.limit) == (DDIM(0.5), 25, Clip())
    assert sampler.prediction == "v"


@pytest.mark.parametrize("solver", [DDPM(), DDIM(0.5), DPMSolver()], ids=repr)
def test_samples_stay_on_their_device_whatever_the_generators_is(solver):
    """The meta device refuses to meet another, as a GPU would."""
    for limit in (Clip(), DynamicThreshold()):
        sampler = Sampler(CosineSchedule(), "v", solver, 10, limit=limit)
        x = sampler.sample(network, noise(2, 3).to("meta"), torch.Generator())
        assert x.device.type == "meta"
        assert x.shape == (2, 3)


def test_no_sample_needs_no_generator():
    sampler = Sampler(LinearSchedule(), "eps", DDPM(), 10)
    assert sampler.sample(network, torch.zeros(0, 4), []).shape == (0, 4)
