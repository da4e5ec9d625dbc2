"""Which summaries and steps are controlled, and which options are refused."""

from dataclasses import dataclass, field

import pytest
import torch
from torch import Tensor

from modules.summariser.steering.control import Control, Steering
from modules.summariser.steering.guide import Guide
from tests.fixtures.steering import ASKED, steer, steering
from tests.fixtures.summarisers import STANCES


def test_a_strength_of_zero_changes_no_bit(folder, tokenizer, case):
    guide = Guide(str(folder))
    assert torch.equal(steer(steering(tokenizer, guide, strength=0), case).logits_BSV, case[0])
    assert not Control([guide], strength=0).is_on
    assert not Control([guide], divergence=0.0).is_on
    assert not Control([]).is_on


@pytest.mark.parametrize("objective", ["log_probability", "margin"])
@pytest.mark.parametrize("options", [{"strength": 50.0}, {"divergence": 0.1}])
def test_a_summary_of_which_nothing_is_asked_is_left_alone(
    folder, tokenizer, case, options, objective
):
    how = steering(tokenizer, Guide(str(folder)), objective=objective, **options)
    some = steer(how, case, torch.tensor([0, -100, 1, -100]))
    assert torch.equal(some.logits_BSV[1::2], case[0][1::2])
    assert some.is_moved_B.tolist() == [True, False, True, False]
    whole = steer(how, case).logits_BSV
    torch.testing.assert_close(some.logits_BSV[::2], whole[::2], rtol=1e-5, atol=1e-5)


def read(folder, tokenizer, case):
    """Stance of each summary as the guide reads it."""
    opened = Guide(str(folder)).open(tokenizer, STANCES)
    return opened.log_p(case[0].softmax(-1), *case[2:]).argmax(-1)


def test_summaries_that_are_read_as_wanted_may_be_left_alone(folder, tokenizer, case):
    right = read(folder, tokenizer, case)
    asked = torch.stack([right[0], (right[1] + 1) % 3, right[2], (right[3] + 2) % 3])
    how = steering(tokenizer, Guide(str(folder)), strength=9.0, only_while_wrong=True)
    moved = steer(how, case, asked)
    assert moved.is_moved_B.tolist() == [False, True, False, True]
    assert torch.equal(moved.logits_BSV[::2], case[0][::2])
    always = steer(steering(tokenizer, Guide(str(folder)), strength=9.0), case, asked)
    assert torch.equal(moved.logits_BSV[1::2], always.logits_BSV[1::2])


def test_with_several_guides_all_must_read_what_is_wanted(folder, other, tokenizer, case):
    right = read(folder, tokenizer, case)
    facts = Guide(str(other), classes=["wrong", "true"], target="true")
    is_true = facts.open(tokenizer, STANCES).log_p(case[0].softmax(-1), *case[2:]).argmax(-1) == 1
    how = steering(tokenizer, Guide(str(folder)), facts, only_while_wrong=True)
    assert steer(how, case, right).is_moved_B.tolist() == (~is_true).tolist()
    how = steering(tokenizer, facts, only_while_wrong=True)
    unknown = torch.full_like(ASKED, -100)
    assert steer(how, case, unknown).is_moved_B.tolist() == (~is_true).tolist()


def test_a_guide_with_its_own_target_steers_summaries_of_which_no_stance_is_asked(
    other, tokenizer, case
):
    facts = Guide(str(other), classes=["wrong", "true"], target="true")
    moved = steer(steering(tokenizer, facts), case, torch.full_like(ASKED, -100))
    assert moved.is_moved_B.all()
    assert not torch.equal(moved.logits_BSV, case[0])


@dataclass
class Broken:
    """A guide whose gradient is not finite for one summary."""

    row: int
    value: float
    guide: Guide = field(default_factory=lambda: Guide("broken"))

    def targets(self, asked_B: Tensor) -> Tensor:
        return asked_B

    def log_p(self, share_BSV: Tensor, article_BC: Tensor, mask_BC: Tensor) -> Tensor:
        factor = torch.ones(len(share_BSV)).index_fill(0, torch.tensor([self.row]), self.value)
        return (share_BSV[:, 0, 5:8] * factor[:, None]).log_softmax(-1)


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
@pytest.mark.parametrize("options", [{"strength": 5.0}, {"divergence": 0.05}])
def test_a_gradient_that_is_not_finite_leaves_that_summary_unguided_and_is_counted(
    case, value, options
):
    control = Control([Guide("broken")], **options)
    moved = steer(Steering(control, [Broken(1, value)]), case)
    assert moved.is_broken_B.tolist() == [False, True, False, False]
    assert moved.is_moved_B.tolist() == [True, False, True, True]
    assert torch.equal(moved.logits_BSV[1], case[0][1])
    sound = steer(Steering(control, [Broken(1, 1.0)]), case)
    for b in (0, 2, 3):
        assert torch.equal(moved.logits_BSV[b], sound.logits_BSV[b])


def test_a_summary_of_which_nothing_is_asked_does_not_count_as_broken(case):
    control = Control([Guide("broken")])
    asked = torch.tensor([0, -100, 1, 2])
    moved = steer(Steering(control, [Broken(1, torch.nan)]), case, asked)
    assert not moved.is_broken_B.any()


def test_steps_are_guided_by_number_and_time():
    guide = Guide("any")
    control = Control([guide], every=3, window=(0.2, 0.8))
    due = [(n, t) for n in range(7) for t in (0.1, 0.2, 0.5, 0.8, 0.9) if control.is_due(n, t)]
    assert due == [(n, t) for n in (0, 3, 6) for t in (0.2, 0.5, 0.8)]
    assert not Control([guide], strength=0).is_due(0, 0.5)


IMPOSSIBLE = [{"strength": -1.0}, {"divergence": -0.1}, {"every": 0}, {"window": (0.5, 0.2)}]
IMPOSSIBLE.append({"divergence": 0.1, "batch_mean": True})


@pytest.mark.parametrize("options", IMPOSSIBLE)
def test_impossible_options_are_refused(options):
    with pytest.raises(ValueError, match="must"):
        Control([], **options)
