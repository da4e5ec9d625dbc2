from itertools import pairwise

import pytest
from diffusers import DDIMScheduler

from modules.diffusion.timesteps import Spacing, spaced

KINDS: list[Spacing] = ["trailing", "leading", "uniform", "quadratic"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("num_steps", [1, 2, 7, 10, 25, 50, 99, 250, 999, 1000])
def test_as_many_distinct_falling_steps_as_asked_for(kind, num_steps):
    steps = spaced(num_steps, kind, 1000)
    assert len(steps) == num_steps + 1
    assert all(early > late for early, late in pairwise(steps))
    assert steps[-1] == 0
    assert steps[0] == 1000 or (kind == "leading" and steps[0] <= 1000)


@pytest.mark.parametrize("kind", KINDS)
def test_all_steps_are_all_steps(kind):
    assert spaced(50, kind, 50) == list(range(50, -1, -1))


@pytest.mark.parametrize("num_steps", [10, 13, 50, 250])
@pytest.mark.parametrize(
    ("ours", "theirs"), [("trailing", "trailing"), ("leading", "leading"), ("uniform", "linspace")]
)
def test_spacings_are_the_references(ours, theirs, num_steps):
    scheduler = DDIMScheduler(timestep_spacing=theirs)
    scheduler.set_timesteps(num_steps)
    assert spaced(num_steps, ours, 1000)[:-1] == (scheduler.timesteps + 1).tolist()


def test_quadratic_steps_are_dense_at_the_clean_end():
    assert spaced(5, "quadratic", 17) == [17, 10, 5, 2, 1, 0]


@pytest.mark.parametrize("kind", KINDS)
def test_steps_stay_between_their_ends(kind):
    steps = spaced(20, kind, 900, last=5)
    assert steps[0] <= 900
    assert steps[-2] > steps[-1] == 5


def test_more_steps_than_there_are_is_refused():
    with pytest.raises(ValueError, match=r"\[1, 90\], the steps from 10 to 100, got 91"):
        spaced(91, "uniform", 100, 10)
    with pytest.raises(ValueError, match="got 0"):
        spaced(0, "uniform", 100)
