"""Steering in generation: when it acts, what it costs, and what it leaves alone."""

from dataclasses import dataclass, field

import pytest
import torch
from torch import Tensor

from modules.summariser.processes.simplex import SelfConditioning
from tests.fixtures.summary_samplers import (
    ASKED,
    NAMES,
    NUM,
    Records,
    S,
    V,
    articles,
    draw,
    likes,
    network,
    sampler,
)


def test_who_watches_sees_every_step_and_changes_nothing():
    net, seen = network(), []
    which = sampler(net, likes(strength=3.0))
    found = which.draw(*articles(), ASKED, NAMES, seen.append)
    assert torch.equal(found, draw(sampler(net, likes(strength=3.0)), list(range(NUM))))
    assert [one.step for one in seen] == which.path[:-1]
    assert torch.equal(seen[-1].tokens.id_BSM[..., 0], found)


def test_passes_of_network_and_guides_are_counted():
    which = sampler(Records(), likes(every=2), num_steps=7)
    draw(which, [0, 1, 2])
    assert which.cost.denoiser == 3 * 7
    assert which.cost.guide == 3 * 4
    assert which.cost.num_broken == 0
    draw(which, [0])
    assert which.cost.denoiser == 4 * 7
    unguided = sampler(Records(), likes(strength=0), num_steps=7)
    draw(unguided, [0, 1, 2])
    assert unguided.steering is None
    assert unguided.cost.guide == 0


@pytest.mark.parametrize("spacing", ["trailing", "leading", "uniform"])
def test_a_window_is_of_the_times_that_the_network_sees(spacing):
    net = Records()
    which = sampler(net, likes(window=(0.3, 0.8)), num_steps=9, spacing=spacing)
    draw(which, [0])
    assert which.cost.guide == sum(0.3 <= one <= 0.8 for one in net.times)


@pytest.mark.parametrize("options", [{"window": (0.4, 0.45)}, {"window": (0.0, 0.8), "every": 4}])
def test_a_control_that_no_step_of_generation_obeys_is_refused(options):
    """Four steps, at 1, 0.75, 0.5 and 0.25."""
    with pytest.raises(ValueError, match="holds none of the 4 steps of generation"):
        sampler(network(), likes(**options), num_steps=4)


@dataclass(frozen=True)
class Spy(SelfConditioning):
    """Remembers the predictions that it is shown."""

    seen: list[Tensor | None] = field(default_factory=list)

    def input(self, simplex_BSV: Tensor, before_BSV: Tensor | None) -> Tensor:
        self.seen.append(None if before_BSV is None else before_BSV.clone())
        return super().input(simplex_BSV, before_BSV)


@pytest.mark.parametrize("carried", ["unguided", "guided"])
def test_self_conditioning_shows_the_logits_before_or_after_control(carried):
    spy, net = Spy(), Records()
    which = sampler(net, likes(strength=50.0), spy, carried=carried)
    states = [one.logits_BSV.clone() for one in which.states(*articles(), ASKED, NAMES)]
    plain = torch.zeros(NUM, S, V)
    plain[..., 7] = 1.0
    assert spy.seen[0] is None
    assert not torch.equal(states[0], plain)
    for n in range(1, 6):
        expected = states[n - 1] if carried == "guided" else plain
        assert torch.equal(spy.seen[n], expected)


def test_guidance_off_is_unguided_bit_for_bit():
    net, rows = network(), list(range(NUM))
    unguided = draw(sampler(net), rows)
    assert torch.equal(draw(sampler(net, likes(strength=0.0)), rows), unguided)
    guided = draw(sampler(net, likes(strength=500.0)), rows)
    assert not torch.equal(guided, unguided)
    assert torch.equal(guided[4], unguided[4])  # nothing is asked of it


def test_generation_works_in_evaluations_where_gradients_are_off():
    which = sampler(network(), likes(strength=50.0))
    expected = draw(which, [0, 1, 2])
    with torch.inference_mode():
        assert torch.equal(draw(which, [0, 1, 2]), expected)
