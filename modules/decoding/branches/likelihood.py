"""Likelihood of texts under combined branches, by teacher forcing.

Shape legend: B = questions, R = rows (questions times branches of a model), L = longest prompt,
T = longest continuation, V = tokens of the first vocabulary.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from modules.causal_lm.score import continuation_logits, of_tokens
from modules.causal_lm.tokens.padding import Ids, padded
from modules.decoding.branches.branches import Branches
from modules.decoding.branches.rows import prompt_room
from modules.decoding.branches.step import alignments_of, by_model, check_prompts, combined
from modules.decoding.branches.vocabulary import Alignment
from modules.decoding.starts import forced_ids, start_id, without_lead


@dataclass(frozen=True)
class Likelihood:
    """Log-probabilities of a continuation.

    Attributes:
        tokens: Of every token, in nats, under the combined branches.
        is_greedy: Whether every token is the most likely one.
        branches: Log-probabilities of the tokens under each branch alone, by name.
    """

    tokens: list[float]
    is_greedy: bool
    branches: dict[str, list[float]] = field(default_factory=dict)

    @property
    def total(self) -> float:
        """Log-probability of the whole continuation, in nats."""
        return sum(self.tokens)


@torch.no_grad()
def loglikelihood(
    branches: Branches,
    prompts: Sequence[Sequence[Ids]],
    continuations: Sequence[Ids],
    batch_size: int = 8,
    by_branch: bool = False,
) -> list[Likelihood]:
    """Log-probabilities of continuations, in batches of similar length that fit the models.

    Args:
        branches: Models and weights.
        prompts: Token ids without padding, by branch and question.
        continuations: What follows each question's prompts, in the first branch's ids. A forced
            first token of the first model's decoder precedes all of them; if it is given as well,
            it has probability 1 (0 nats).
        batch_size: Questions per batch.
        by_branch: Whether to return the log-probabilities of every branch as well.

    Raises:
        ValueError: The prompts do not fit the branches; or a prompt and its continuation are more
            than a model's context.
    """
    check_prompts(branches, prompts)
    if len(prompts[0]) != len(continuations):
        raise ValueError(f"{len(prompts[0])} prompts, but {len(continuations)} continuations")
    found: dict[int, Likelihood] = {}
    for chosen in batches(branches, prompts, continuations, batch_size):
        prompt_ids = [[one[b] for b in chosen] for one in prompts]
        batch = read(branches, prompt_ids, [continuations[b] for b in chosen], by_branch)
        found.update(zip(chosen, batch, strict=True))
    return [found[b] for b in range(len(continuations))]


def batches(
    branches: Branches,
    prompts: Sequence[Sequence[Ids]],
    continuations: Sequence[Ids],
    batch_size: int,
) -> list[list[int]]:
    """Indices of questions of similar length, the longest first, that fit every model together.

    A batch is as long as its longest prompt and its longest continuation, which may be those of
    two questions.
    """
    cost = [max(len(one[b]) for one in prompts) + len(c) for b, c in enumerate(continuations)]
    found = list[list[int]]()
    for index in sorted(range(len(cost)), key=lambda b: -cost[b]):
        together = [*found[-1], index] if found else []
        is_small = 0 < len(together) <= batch_size
        if is_small and fits(branches, prompts, continuations, together):
            found[-1] = together
        else:
            found.append([index])
    return found


def fits(
    branches: Branches,
    prompts: Sequence[Sequence[Ids]],
    continuations: Sequence[Ids],
    chosen: Sequence[int],
) -> bool:
    """Whether the longest prompt and the longest continuation fit every model together."""
    num_new = max(len(continuations[b]) for b in chosen)
    for one, prompt_ids in zip(branches.branches, prompts, strict=True):
        room = prompt_room(one.model, num_new - 1)  # the last token is not read
        if room is not None and max(len(prompt_ids[b]) for b in chosen) > room:
            return False
    return True


def read(
    branches: Branches,
    prompts: Sequence[Sequence[Ids]],
    continuations: Sequence[Ids],
    by_branch: bool,
) -> list[Likelihood]:
    """One batch of `loglikelihood`."""
    first = branches.first.model
    lead = forced_ids(first)
    rests = [without_lead(lead, ids) for ids in continuations]
    whole_BT, _ = padded([[*lead, *rest] for rest in rests], left=False, device=first.device)
    alignments = alignments_of(branches)
    parts = [p[:, len(lead) :] for p in all_logits(branches, prompts, whole_BT, alignments)]
    token_BT = whole_BT[:, len(lead) :]
    log_p = combined(branches, alignments, parts).log_softmax(-1)
    score_BT, best_BT = of_tokens(log_p, token_BT), log_p.argmax(-1)
    apart = {}
    if by_branch:
        for k, (to, part) in enumerate(zip(alignments, parts, strict=True)):
            own = to.logits(part.float().log_softmax(-1))
            apart[branches.named(k)] = of_tokens(own, token_BT)
    return [
        Likelihood(
            [0.0] * (len(ids) - len(rest)) + score_BT[b, : len(rest)].tolist(),
            bool((best_BT == token_BT)[b, : len(rest)].all()),
            {
                name: [0.0] * (len(ids) - len(rest)) + score[b, : len(rest)].tolist()
                for name, score in apart.items()
            },
        )
        for b, (ids, rest) in enumerate(zip(continuations, rests, strict=True))
    ]


def all_logits(
    branches: Branches,
    prompts: Sequence[Sequence[Ids]],
    token_BT: Tensor,
    alignments: Sequence[Alignment],
) -> list[Tensor]:
    """Logits [B, T, W] of every token of the continuations, by branch."""
    models = [one.model for one in branches.branches]
    parts: dict[int, Tensor] = {}
    for which in by_model(models):
        prompt_ids = [ids for k in which for ids in prompts[k]]
        token_RT = torch.cat([alignments[k].ids(token_BT) for k in which])
        logits = teacher_forced(models[which[0]], prompt_ids, token_RT)
        parts.update(zip(which, logits.chunk(len(which)), strict=True))
    return [parts[k].to(token_BT.device) for k in range(len(models))]


def teacher_forced(model: Any, prompts: Sequence[Ids], token_RT: Tensor) -> Tensor:
    """Logits [R, T, W] of tokens after prompts, in one forward pass."""
    num_new = token_RT.shape[1]
    room, longest = prompt_room(model, num_new - 1), max(map(len, prompts))
    if room is not None and longest > room:
        raise ValueError(
            f"a prompt of {longest} tokens and a continuation of {num_new} are more than the "
            f"model's context of {model.config.max_position_embeddings}"
        )
    if model.config.is_encoder_decoder:
        token_RL, mask_RL = padded(prompts, left=False, device=model.device)
        start = torch.full_like(token_RT[:, :1], start_id(model))
        before_RT = torch.cat([start, token_RT[:, :-1]], dim=1).to(model.device)
        inputs = {"input_ids": token_RL, "attention_mask": mask_RL, "decoder_input_ids": before_RT}
        logits: Tensor = model(**inputs, use_cache=False).logits
        return logits
    token_RL, mask_RL = padded(prompts, left=True, device=model.device)
    return continuation_logits(model, token_RL, mask_RL, token_RT.to(model.device))
