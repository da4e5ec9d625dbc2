"""The objective of direct preference optimisation (Rafailov et al., 2023). Legend: P = pairs."""

import torch.nn.functional as F
from torch import Tensor


def implicit_reward(log_p: Tensor, reference_log_p: Tensor, beta: float) -> Tensor:
    """Reward under which a policy is optimal: beta log(pi(y|x) / pi_ref(y|x)) (ibid., eq. 5).

    The term that depends on the prompt alone is left out; it cancels in a pair.

    Args:
        log_p: Log-probabilities of answers under the policy, each a sum over its tokens.
        reference_log_p: The same under the reference.
        beta: Weight of the KL divergence from the reference in the objective that is solved.
    """
    return beta * (log_p - reference_log_p)


def dpo_loss(chosen_reward_P: Tensor, rejected_reward_P: Tensor) -> Tensor:
    """Sum over pairs of -log sigmoid(chosen - rejected) of implicit rewards (ibid., eq. 7)."""
    return -F.logsigmoid(chosen_reward_P - rejected_reward_P).sum()
