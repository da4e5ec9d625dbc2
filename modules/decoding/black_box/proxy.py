"""Proxy-tuning of a model that reports only its K likeliest tokens, with error bounds.

The exact next-token distribution is q_i = p_i exp(delta_i) / (Z + U), where p is the base's own,
delta = alpha (s_expert - s_antiexpert) (Liu et al., 2024, eq. 1), Z the sum over the tokens that
are seen, and U the one over those that are not. Dropping U gives q_i (Z + U) / Z on the seen ones,
at a total-variation distance of exactly U / (Z + U). Of the unseen p only their sum and an upper
bound are known; we compute the least and the greatest U that these allow.

Shape legend: K = tokens seen, V = vocabulary, N = V - K tokens not seen.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

TOLERANCE = 1e-3
"""Maximum inconsistency of an endpoint's probabilities before they are refused."""
ROUNDING = 1e-6
"""Error of an endpoint's probabilities: single precision."""


@dataclass(frozen=True)
class Step:
    """The next token's distribution over the seen tokens.

    With TV as the total-variation distance between it and the exact one, the exact probability of
    a seen token is (1 - TV) times the one here.

    Attributes:
        id_K: The tokens.
        logprob_K: Their log-probabilities after reweighting, float64; they sum to 1.
        low: Least TV consistent with the seen tokens.
        high: Greatest TV consistent with the seen tokens.
        is_certain: Whether the arg max of the exact distribution is the one here, whatever the
            unseen tokens' probabilities are.
        unseen: Probability of the unseen tokens under the base.
    """

    id_K: Tensor
    logprob_K: Tensor
    low: float
    high: float
    is_certain: bool
    unseen: float


def proxy_step(
    id_K: Tensor,
    logprob_K: Tensor,
    delta_V: Tensor,
    cap: float | None = None,
    unmatched: Sequence[float] = (),
    rounding: float = ROUNDING,
) -> Step:
    """Reweight the seen tokens, and bound the effect of the unseen ones.

    Args:
        id_K: Distinct ids of the base's likeliest tokens, integer.
        logprob_K: Their log-probabilities under the base, in nats.
        delta_V: What is added to the base's logits; minus infinity forbids a token.
        cap: Upper bound of the probability of an unseen token; the least of the seen ones' if None.
        unmatched: Probabilities of tokens that the base listed, but whose id is unknown.
        rounding: Error of the unseen tokens' total probability; matters if their offsets are large.

    Raises:
        ValueError: No token is seen, or none that is allowed; an id is beyond the vocabulary or
            occurs twice; an offset is NaN or plus infinity; the probabilities sum to more than 1;
            or the unseen tokens cannot hold the remaining mass.
    """
    check(id_K, delta_V)
    logprob_K, delta_V = logprob_K.double().cpu(), delta_V.double().cpu()
    id_K = id_K.cpu()
    cap = float(logprob_K.min().exp()) if cap is None else cap
    score_K = logprob_K + delta_V[id_K]
    log_z = score_K.logsumexp(0)
    if log_z == -torch.inf:
        raise ValueError(f"the offsets forbid all of the {len(id_K)} tokens that are seen.")
    unseen = unseen_mass(logprob_K)
    delta_N = unseen_values(delta_V, id_K)
    most_N = unseen_masses(min(1.0, unseen + rounding), cap, unmatched, len(delta_N))
    least_N = unseen_masses(max(0.0, unseen - rounding), cap, unmatched, len(delta_N))
    high = weighed(most_N, delta_N.sort(descending=True).values)
    low = weighed(least_N, delta_N.sort().values)
    rival = weighed(most_N[:1], delta_N.max()[None]) if len(delta_N) else -torch.inf
    return Step(
        id_K,
        score_K - log_z,
        low=float(torch.sigmoid(low - log_z)),
        high=float(torch.sigmoid(high - log_z)),
        is_certain=bool(score_K.max() > rival),
        unseen=unseen,
    )


def unseen_masses(unseen: float, cap: float, unmatched: Sequence[float], num: int) -> Tensor:
    """Probabilities of unseen tokens, as unequal as can be: [N], float64, falling.

    Every orphan above the cap is one of them, and the others take what is left, as few as can hold
    it. Given to the tokens in order of their offsets, they make the sum of p exp(delta) greatest or
    least, by the rearrangement inequality.

    Args:
        unseen: Their sum.
        cap: The most that one which was not listed may have.
        unmatched: Those of listed tokens with unknown ids.
        num: How many tokens there are, N.
    """
    known = sorted((one for one in unmatched if one > cap), reverse=True)
    rest = max(0.0, unseen - sum(known))
    others = max(0, num - len(known))
    filled = (rest - cap * torch.arange(others, dtype=torch.float64)).clamp(0.0, cap)
    mass_N = torch.cat([torch.tensor(known, dtype=torch.float64)[:num], filled])
    missing = max(unseen, sum(known)) - float(mass_N.sum())
    if missing > TOLERANCE:
        raise ValueError(
            f"{num} unseen tokens of at most {cap:.3g} cannot hold the probability of {unseen:.3g} "
            "that is left to them: is this the endpoint's vocabulary?"
        )
    if num:
        mass_N[0] += max(0.0, missing)
    return mass_N


def unseen_mass(logprob_K: Tensor) -> float:
    """What the seen tokens leave of a probability of 1."""
    total = float(logprob_K.exp().sum())
    if total > 1 + TOLERANCE:
        raise ValueError(f"the probabilities of {len(logprob_K)} tokens sum to {total:.6g} > 1.")
    return max(0.0, 1.0 - total)


def unseen_values(delta_V: Tensor, id_K: Tensor) -> Tensor:
    """Offsets of the tokens that are not seen, [N]."""
    is_unseen_V = torch.ones(len(delta_V), dtype=torch.bool)
    is_unseen_V[id_K] = False
    return delta_V[is_unseen_V]


def weighed(mass_N: Tensor, delta_N: Tensor) -> Tensor:
    """Logarithm of the sum of p exp(delta); minus infinity without tokens."""
    if not len(mass_N):
        return torch.tensor(-torch.inf, dtype=torch.float64)
    return (mass_N.log() + delta_N).logsumexp(0)


def check(id_K: Tensor, delta_V: Tensor) -> None:
    """Refuse tokens or offsets that mean nothing."""
    if not len(id_K):
        raise ValueError("no token is seen.")
    if int(id_K.min()) < 0 or int(id_K.max()) >= len(delta_V):
        raise ValueError(
            f"token ids from {int(id_K.min())} to {int(id_K.max())} with {len(delta_V)} offsets."
        )
    if len(id_K.unique()) != len(id_K):
        raise ValueError("a token is seen twice.")
    if bool((delta_V.isnan() | (delta_V == torch.inf)).any()):
        raise ValueError("an offset is NaN or plus infinity.")
