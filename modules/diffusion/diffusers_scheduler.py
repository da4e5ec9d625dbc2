"""Schedulers of diffusers as samplers, over our own schedules."""

import copy
from collections.abc import Iterator
from typing import Any

import diffusers
import torch
from torch import Tensor
from typing_extensions import override

from modules.diffusion.guidance import Predict
from modules.diffusion.noise import Generators
from modules.diffusion.process import Prediction
from modules.diffusion.sampler import SampleSource, State
from modules.diffusion.schedule import Schedule

THEIR_NAME: dict[Prediction, str] = {"eps": "epsilon", "v": "v_prediction", "x_0": "sample"}

Option = bool | int | float | str


class FromDiffusers(SampleSource):
    """Samples through a scheduler of diffusers; it gets our betas, and its steps become ours.

    Args:
        schedule: Signal left at each step, as in training.
        prediction: What the network predicts.
        scheduler: Class in diffusers, such as "UniPCMultistepScheduler".
        num_steps: Number of steps; some schedulers call the network more often.
        options: Further options of its constructor.

    Raises:
        ValueError: Diffusers has no such scheduler, it takes no betas, or a beta is 1.
    """

    def __init__(
        self,
        schedule: Schedule,
        prediction: Prediction,
        scheduler: str,
        num_steps: int = 50,
        options: dict[str, Option] | None = None,
    ):
        beta_T = betas(schedule)
        if beta_T.max() >= 1:
            raise ValueError("schedule: diffusers needs betas below 1; set max_beta to 0.999")
        made = find(scheduler)(
            trained_betas=beta_T.tolist(),
            num_train_timesteps=schedule.num_steps,
            prediction_type=THEIR_NAME[prediction],
            **(options or {}),
        )
        made.set_timesteps(num_steps)
        self.scheduler = made

    @override
    @torch.no_grad()
    def trajectory(
        self, predict: Predict, noise: Tensor, generators: Generators = None
    ) -> Iterator[State]:
        scheduler = copy.deepcopy(self.scheduler)  # it counts its own steps
        extra = {"generator": generators} if takes_noise(scheduler) else {}
        x = noise * scheduler.init_noise_sigma
        steps = [int(index) + 1 for index in scheduler.timesteps]  # theirs count from 0
        yield State(x, steps[0])
        for done, index in enumerate(scheduler.timesteps, start=1):
            t_B = torch.full((len(x),), steps[done - 1], device=x.device)
            output = predict(scheduler.scale_model_input(x, index), t_B)
            x = scheduler.step(output, index, x, **extra).prev_sample
            yield State(x, [*steps, 0][done], done)


def find(name: str) -> Any:
    """A scheduler class of diffusers that can be given betas."""
    found = getattr(diffusers, name, None) if name.endswith("Scheduler") else None
    if found is None:
        raise ValueError(f"scheduler: diffusers has no {name}")
    if "trained_betas" not in found.__init__.__wrapped__.__code__.co_varnames:
        raise ValueError(f"scheduler: {name} takes no betas, so it cannot follow our schedule")
    return found


def betas(schedule: Schedule) -> Tensor:
    """Share of the variance that each step t = 1, ..., T replaces by noise, [T]."""
    abar = schedule.signal(torch.arange(schedule.num_steps + 1))
    return 1 - abar[1:] / abar[:-1]


def takes_noise(scheduler: Any) -> bool:
    """Whether a step can be given a generator."""
    return "generator" in type(scheduler).step.__code__.co_varnames
