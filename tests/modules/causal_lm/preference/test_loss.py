"""The DPO loss against plain loops in double precision, and against that of TRL."""

import math
from types import SimpleNamespace
from unittest.mock import MagicMock

import pytest
import torch

from modules.causal_lm.preference.loss import dpo_loss, implicit_reward

BETA = 0.3


def plain(chosen, rejected, ref_chosen, ref_rejected):
    """Equation 7 pair by pair, a sum, and its derivative with respect to the chosen answer."""
    total, slopes = 0.0, []
    for c, r, ref_c, ref_r in zip(chosen, rejected, ref_chosen, ref_rejected, strict=True):
        margin = BETA * ((c - ref_c) - (r - ref_r))
        total -= math.log(1 / (1 + math.exp(-margin)))
        slopes.append(-BETA * (1 - 1 / (1 + math.exp(-margin))))
    return total, slopes


def draws():
    generator = torch.Generator().manual_seed(0)
    return [-20 * torch.rand(5, generator=generator, dtype=torch.float64) for _ in range(4)]


def test_loss_and_gradient_are_equation_7():
    chosen, rejected, ref_chosen, ref_rejected = draws()
    chosen.requires_grad_()
    rejected.requires_grad_()
    rewards = (
        implicit_reward(chosen, ref_chosen, BETA),
        implicit_reward(rejected, ref_rejected, BETA),
    )
    loss = dpo_loss(*rewards)
    loss.backward()
    total, slopes = plain(*(one.tolist() for one in (chosen, rejected, ref_chosen, ref_rejected)))
    assert loss.item() == pytest.approx(total, rel=1e-12)
    assert chosen.grad.tolist() == pytest.approx(slopes, rel=1e-10)
    assert rejected.grad.tolist() == pytest.approx([-one for one in slopes], rel=1e-10)


def test_a_policy_that_is_its_reference_has_the_loss_of_a_coin():
    log_p = draws()[0]
    reward = implicit_reward(log_p, log_p, BETA)
    assert dpo_loss(reward, reward).item() == pytest.approx(5 * math.log(2))


def test_loss_and_gradient_are_those_of_trl():
    reason = "needs trl: uv run --with trl pytest -n 0 tests/modules/causal_lm/preference"
    pytest.importorskip("trl", reason=reason)
    from trl import DPOTrainer

    chosen, rejected, ref_chosen, ref_rejected = draws()
    policy = torch.cat([chosen, rejected])[:, None].requires_grad_()  # answers of one token
    trainer = MagicMock(
        aux_loss_enabled=False,
        ld_alpha=None,
        precompute_ref_logps=True,
        f_divergence_type="reverse_kl",
        loss_types=["sigmoid"],
        loss_weights=[1.0],
        beta=BETA,
        label_smoothing=0.0,
        use_weighting=False,
        args=MagicMock(use_liger_kernel=False),
    )
    trainer.accelerator.device = "cpu"
    trainer.accelerator.gather_for_metrics.side_effect = lambda value: value
    inputs = {
        "input_ids": torch.zeros(10, 2, dtype=torch.long),
        "attention_mask": torch.ones(10, 2),
        "completion_mask": torch.tensor([[0, 1]]).expand(10, 2),
        "ref_chosen_logps": ref_chosen,
        "ref_rejected_logps": ref_rejected,
    }
    zeros = torch.zeros(10, 1)
    out = SimpleNamespace(log_probs=policy, entropy=zeros, mean_logits=zeros, is_top1=zeros.bool())
    theirs = DPOTrainer._compute_loss(trainer, lambda **_: out, inputs, return_outputs=False)
    theirs.backward()

    ours = torch.cat([chosen, rejected]).requires_grad_()
    rewards = [
        implicit_reward(half, reference, BETA)
        for half, reference in zip(ours.chunk(2), (ref_chosen, ref_rejected), strict=True)
    ]
    loss = dpo_loss(*rewards) / 5
    loss.backward()
    torch.testing.assert_close(loss, theirs)
    torch.testing.assert_close(ours.grad, policy.grad[:, 0])
