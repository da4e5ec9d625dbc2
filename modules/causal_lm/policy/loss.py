"""The objective of GRPO (Shao et al., 2024) and of Dr. GRPO (Liu et al., 2025).

Shape legend: P = prompts, G = answers of a prompt (a group), A = P * G answers, L = row length.
"""

import torch
from torch import Tensor

EPSILON = 1e-4
"""Added to the standard deviation of a group."""


def group_advantages(reward_PG: Tensor, scale: bool = True) -> Tensor:
    """Reward minus the mean of its group, over their standard deviation (Shao et al., sec. 4.1.2).

    The deviation is that of a sample (G - 1). A group whose rewards are equal gives exact zeros.

    Args:
        reward_PG: Reward of each answer.
        scale: Whether to divide; Liu et al. (eq. 3) do not, since it weighs prompts by how much
            their answers agree.
    """
    is_equal_P1 = reward_PG.amax(1, keepdim=True) == reward_PG.amin(1, keepdim=True)
    centred_PG = (reward_PG - reward_PG.mean(1, keepdim=True)).masked_fill(is_equal_P1, 0.0)
    return centred_PG / (reward_PG.std(1, keepdim=True) + EPSILON) if scale else centred_PG


def clipped_objective(
    log_p_AL: Tensor, old_log_p_AL: Tensor, advantage_A: Tensor, clip: float
) -> Tensor:
    """Objective of each token, to be maximised (Shao et al., eq. 3, without its KL term).

        min(ratio A, clamp(ratio, 1 - clip, 1 + clip) A),  ratio = exp(log_p - old_log_p)

    Args:
        log_p_AL: Log-probability of each token under the policy that is trained.
        old_log_p_AL: The same under the policy that drew the answers.
        advantage_A: Advantage of each answer; all its tokens have it.
        clip: The papers' epsilon.
    """
    ratio_AL = torch.exp(log_p_AL - old_log_p_AL)
    advantage_A1 = advantage_A[:, None]
    clipped_AL = ratio_AL.clamp(1 - clip, 1 + clip)
    return torch.minimum(ratio_AL * advantage_A1, clipped_AL * advantage_A1)


def kl_estimate(log_p: Tensor, reference_log_p: Tensor) -> Tensor:
    """Estimate of KL(policy || reference) from drawn tokens: r - log r - 1 (Shao et al., eq. 4).

    r is the reference's probability over the policy's; the estimate (k3 of Schulman, 2020) has no
    bias where the policy drew the tokens, and is never negative.
    """
    log_r = reference_log_p - log_p
    return torch.expm1(log_r) - log_r


def over_tokens(value_AL: Tensor, is_token_AL: Tensor, length: int | None = None) -> Tensor:
    """One number an answer from one a token, [A].

    Args:
        value_AL: A value at each position.
        is_token_AL: True at tokens of the answer.
        length: Where None, the mean over the answer's own tokens (Shao et al., eq. 3); else the
            sum over this constant, so that tokens of long answers count no less than others (Liu
            et al., 2025, sec. 3.2).
    """
    sum_A = (value_AL * is_token_AL).sum(1)
    return sum_A / (is_token_AL.sum(1).clamp(min=1) if length is None else length)


def grpo_loss(
    log_p_AL: Tensor,
    old_log_p_AL: Tensor,
    advantage_A: Tensor,
    is_token_AL: Tensor,
    clip: float = 0.2,
    kl_weight: float = 0.0,
    reference_log_p_AL: Tensor | None = None,
    length: int | None = None,
) -> Tensor:
    """Sum over answers of what GRPO minimises (Shao et al., eq. 3; Liu et al., 2025, eq. 3).

    Args:
        log_p_AL: Log-probability of each token under the policy that is trained.
        old_log_p_AL: The same under the policy that drew the answers, without a graph.
        advantage_A: As of `group_advantages`.
        is_token_AL: True at tokens of the answer.
        clip: The papers' epsilon.
        kl_weight: The papers' beta.
        reference_log_p_AL: Log-probability of each token under the reference; only needed with a
            weight above 0.
        length: None for GRPO's mean over an answer's tokens; the most tokens an answer may have for
            Dr. GRPO.
    """
    objective_AL = clipped_objective(log_p_AL, old_log_p_AL, advantage_A, clip)
    if kl_weight > 0:
        assert reference_log_p_AL is not None
        objective_AL = objective_AL - kl_weight * kl_estimate(log_p_AL, reference_log_p_AL)
    return -over_tokens(objective_AL, is_token_AL, length).sum()
