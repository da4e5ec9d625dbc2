"""GRPO and Dr. GRPO against plain loops in double precision, and against TRL's losses."""

import math
from statistics import mean, stdev
from unittest.mock import MagicMock

import pytest
import torch

from modules.causal_lm.policy.loss import EPSILON, group_advantages, grpo_loss, kl_estimate

CLIP, KL = 0.2, 0.05
LENGTHS = [3, 1, 4, 2, 4, 3]
REWARDS = [[1.0, 0.0, 0.5], [0.0, 0.0, 1.0]]


def draws():
    """Log-probabilities of six answers of up to four tokens: policy, old policy, reference."""
    generator = torch.Generator().manual_seed(0)
    policy = -3 * torch.rand(6, 4, generator=generator, dtype=torch.float64)
    noise = [torch.randn(6, 4, generator=generator, dtype=torch.float64) for _ in range(2)]
    is_token = torch.arange(4) < torch.tensor(LENGTHS)[:, None]
    return policy, policy + 0.3 * noise[0], policy + 0.3 * noise[1], is_token


def plain(policy, old, reference, unbiased):
    """The objective token by token."""
    advantages = []
    for group in REWARDS:
        spread = 1.0 if unbiased else stdev(group) + EPSILON
        advantages += [(reward - mean(group)) / spread for reward in group]
    total = 0.0
    for a, advantage in enumerate(advantages):
        answer = 0.0
        for t in range(LENGTHS[a]):
            ratio = math.exp(policy[a][t] - old[a][t])
            held = min(max(ratio, 1 - CLIP), 1 + CLIP)
            r = math.exp(reference[a][t] - policy[a][t])
            answer += min(ratio * advantage, held * advantage) - KL * (r - math.log(r) - 1)
        total -= answer / (4 if unbiased else LENGTHS[a])
    return total


def ours(policy, old, reference, is_token, unbiased):
    advantage = group_advantages(torch.tensor(REWARDS, dtype=torch.float64), not unbiased).flatten()
    length = 4 if unbiased else None
    return grpo_loss(policy, old, advantage, is_token, CLIP, KL, reference, length)


@pytest.mark.parametrize("unbiased", [False, True], ids=["grpo", "dr_grpo"])
def test_loss_and_gradient_are_those_of_a_loop_over_tokens(unbiased):
    policy, old, reference, is_token = draws()
    policy.requires_grad_()
    loss = ours(policy, old, reference, is_token, unbiased)
    loss.backward()
    lists = [one.tolist() for one in (policy, old, reference)]
    assert loss.item() == pytest.approx(plain(*lists, unbiased), rel=1e-12)
    step = 1e-6
    for a in range(6):
        for t in range(4):
            moved = []
            for sign in (1, -1):
                rows = [list(row) for row in lists[0]]
                rows[a][t] += sign * step
                moved.append(plain(rows, lists[1], lists[2], unbiased))
            slope = (moved[0] - moved[1]) / (2 * step)
            assert policy.grad[a, t].item() == pytest.approx(slope, abs=1e-7)


def test_the_first_update_after_drawing_is_the_policy_gradient():
    policy, _, _, is_token = draws()
    policy.requires_grad_()
    advantage = group_advantages(torch.tensor(REWARDS, dtype=torch.float64)).flatten()
    grpo_loss(policy, policy.detach(), advantage, is_token, CLIP).backward()
    expected = -advantage[:, None] * is_token / torch.tensor(LENGTHS)[:, None]
    torch.testing.assert_close(policy.grad, expected)


def test_equal_rewards_are_no_signal():
    for reward in (0.7, 1.0):  # of which the first differs from its mean by rounding
        assert not group_advantages(torch.full((2, 3), reward)).any()


def test_the_estimate_of_the_divergence_has_no_bias():
    p, q = torch.tensor([0.5, 0.3, 0.2]).double(), torch.tensor([0.2, 0.2, 0.6]).double()
    estimate = kl_estimate(p.log(), q.log())
    assert (p * estimate).sum().item() == pytest.approx((p * (p / q).log()).sum().item())
    assert (estimate >= 0).all()


@pytest.mark.parametrize("unbiased", [False, True], ids=["grpo", "dr_grpo"])
def test_loss_and_gradient_are_those_of_trl(unbiased):
    reason = "needs trl: uv run --with trl pytest -n 0 tests/modules/causal_lm/policy"
    pytest.importorskip("trl", reason=reason)
    from trl import GRPOTrainer

    policy, old, reference, is_token = draws()
    theirs = policy.clone().requires_grad_()
    trainer = MagicMock(
        importance_sampling_level="token",
        top_entropy_quantile=1.0,
        off_policy_mask_threshold=None,
        loss_type="dr_grpo" if unbiased else "grpo",
        beta=KL,
        epsilon_low=CLIP,
        epsilon_high=CLIP,
        max_completion_length=4,
        current_gradient_accumulation_steps=1,
        use_vllm=False,
        _entropy_bonus_enabled=False,
        aux_loss_enabled=False,
        args=MagicMock(delta=None, use_bias_correction_kl=False),
    )
    found = theirs, torch.zeros_like(policy), None
    trainer._get_per_token_logps_and_entropies.return_value = found
    trainer.accelerator.gather.side_effect = lambda value: value
    advantage = group_advantages(torch.tensor(REWARDS, dtype=torch.float64), not unbiased).flatten()
    inputs = {
        "prompt_ids": torch.zeros(6, 2, dtype=torch.long),
        "prompt_mask": torch.ones(6, 2),
        "completion_ids": torch.zeros(6, 4, dtype=torch.long),
        "completion_mask": is_token.long(),
        "advantages": advantage,
        "old_per_token_logps": old,
        "ref_per_token_logps": reference,
    }
    expected = GRPOTrainer._compute_loss(trainer, None, inputs)
    expected.backward()
    policy.requires_grad_()
    loss = ours(policy, old, reference, is_token, unbiased) / 6
    loss.backward()
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(policy.grad, theirs.grad)
