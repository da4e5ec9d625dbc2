"""Samplers: from noise to a clean sample, along some of the schedule's steps.

B = samples; after it a sample may have any shape.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import torch
from torch import Tensor
from typing_extensions import override

from modules.diffusion.guidance import Predict
from modules.diffusion.noise import Generators, gaussian
from modules.diffusion.process import Prediction, predict_noise, read
from modules.diffusion.projection import Limit
from modules.diffusion.schedule import Schedule
from modules.diffusion.solver import Estimate, Move, Solver
from modules.diffusion.timesteps import Spacing, spaced

LARGEST_GROWTH = 10.0
"""By how much a step may multiply the error of a network that predicts eps."""


@dataclass(frozen=True)
class State:
    """State of sampling.

    Attributes:
        x: The samples, x_t.
        step: Their step t.
        num_done: Steps taken.
        before: The network's estimate one step before.
    """

    x: Tensor
    step: int
    num_done: int = 0
    before: Estimate | None = None


class SampleSource(ABC):
    """What a system asks for samples: `Sampler`, or a scheduler of diffusers."""

    @abstractmethod
    def trajectory(
        self, predict: Predict, noise: Tensor, generators: Generators = None
    ) -> Iterator[State]:
        """All states, from the noise to the end.

        Args:
            predict: The network: (x_t, t_B) to what it predicts.
            noise: Standard normal samples, x at the first step.
            generators: Where fresh noise comes from.
        """

    def sample(self, predict: Predict, noise: Tensor, generators: Generators = None) -> Tensor:
        """Samples of the data, of the noise's shape and dtype; arguments as of `trajectory`."""
        for state in self.trajectory(predict, noise, generators):
            x = state.x
        return x


class Sampler(SampleSource):
    """How samples are drawn.

    `sample` does it all; `trajectory` shows every step; `start` and `advance` are single steps for
    whatever calls the network itself. A sampler keeps nothing of what it draws.

    Args:
        schedule: Signal left at each step, as in training.
        prediction: What the network predicts.
        solver: The rule of a step.
        num_steps: Number of steps, each a call of the network.
        spacing: Which of the schedule's steps these are.
        limit: Keeps the clean samples that are predicted on the way in the range of the data.
        first: The noisiest step; the schedule's last one where None.
        last: The step where sampling ends; 0 is clean.

    Raises:
        ValueError: The schedule has no such steps, or eps is predicted where no signal is left,
            or so little that a step would multiply the network's error by more than
            `LARGEST_GROWTH`.
    """

    def __init__(
        self,
        schedule: Schedule,
        prediction: Prediction,
        solver: Solver,
        num_steps: int = 50,
        spacing: Spacing = "trailing",
        limit: Limit | None = None,
        first: int | None = None,
        last: int = 0,
    ):
        self.schedule, self.prediction, self.solver = schedule, prediction, solver
        self.num_steps, self.limit = num_steps, limit
        end = schedule.num_steps
        first = end if first is None else first
        if not 0 <= last < first <= end:
            raise ValueError(
                f"first must be above last within the schedule's 0 to {end}, "
                f"got first {first} and last {last}"
            )
        self.path = spaced(num_steps, spacing, first, last)
        self.signals: list[float] = schedule.signal(torch.tensor(self.path)).tolist()
        require_signal(prediction, self.path[0], self.signals[0])
        if limit is None:
            require_calm(prediction, self.path, self.signals)

    def start(self, noise: Tensor) -> State:
        """The state before the first step."""
        return State(noise, self.path[0])

    def is_done(self, state: State) -> bool:
        """Whether all steps are taken."""
        return state.num_done == self.num_steps

    def advance(self, state: State, output: Tensor, generators: Generators = None) -> State:
        """The state one step on.

        Args:
            state: State of sampling; it is not changed.
            output: What the network predicts at `state.x` and `state.step`.
            generators: Where fresh noise comes from.
        """
        x, number = state.x, state.num_done
        now = self.estimate(state, output.to(x.dtype))
        draw = partial(gaussian, x.shape, generators, x.device, x.dtype)
        x_s = self.solver.step(x, now, state.before, self._move(number), draw)
        return State(x_s, self.path[number + 1], number + 1, now)

    def estimate(self, state: State, output: Tensor) -> Estimate:
        """What the network's output says of the samples, within the limit.

        Where x_0 is limited, eps is what then is left of x_t, so that both still add up to it.
        """
        abar_B = self.schedule.signal(self.steps(state))
        x_0, eps = read(self.prediction, output, state.x, abar_B)
        if self.limit is not None:
            x_0 = self.limit.apply(x_0)
            eps = predict_noise(state.x, x_0, abar_B)
        return Estimate(x_0, eps)

    @staticmethod
    def steps(state: State) -> Tensor:
        """The state's step once for each sample, [B], int64."""
        return torch.full((len(state.x),), state.step, device=state.x.device)

    @override
    @torch.no_grad()
    def trajectory(
        self, predict: Predict, noise: Tensor, generators: Generators = None
    ) -> Iterator[State]:
        state = self.start(noise)
        yield state
        while not self.is_done(state):
            state = self.advance(state, predict(state.x, self.steps(state)), generators)
            yield state

    def _move(self, number: int) -> Move:
        before = self.signals[number - 1] if number else None
        here, there = self.signals[number : number + 2]
        return Move(before, here, there, self.num_steps - number, self.num_steps)


def require_signal(prediction: Prediction, step: int, abar: float) -> None:
    """Refuse a first step from which the prediction determines no clean sample."""
    if prediction == "eps" and abar == 0:
        raise ValueError(
            f"no signal is left at step {step}, so eps says nothing of x_0: "
            f"predict v, start below it (first: {step - 1}), or bound beta"
        )


def require_calm(prediction: Prediction, path: list[int], signals: list[float]) -> None:
    """Refuse steps that blow up what a network gets wrong of eps.

    A step from t to s moves by alpha_s / alpha_t of the error in eps. Where hardly any signal is
    left this is large: 130 from step 1000 to 996 of the cosine schedule.

    Args:
        prediction: What the network predicts.
        path: The steps visited, falling.
        signals: Signal left at each.
    """
    if prediction != "eps":
        return
    growth = [(after / here) ** 0.5 for here, after in pairwise(signals)]
    worst = max(range(len(growth)), key=growth.__getitem__)
    if growth[worst] > LARGEST_GROWTH:
        raise ValueError(
            f"the step from {path[worst]} to {path[worst + 1]} would multiply the error of a "
            f"network that predicts eps by {growth[worst]:.0f}, more than {LARGEST_GROWTH:.0f}: "
            'take spacing "leading", a lower first step or a limit, or predict v'
        )
