"""Answers that a model draws, and these as rows to learn from.

Shape legend: A = answers, L = longest row, P = prompts.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from modules.causal_lm.generate import Generation, cut, end_ids, generate
from modules.causal_lm.loss import IGNORE
from modules.causal_lm.network import LanguageModel
from modules.causal_lm.preference.reference import evaluating
from modules.causal_lm.tokens.ends import StopStrings, new_text, up_to_end
from modules.causal_lm.tokens.padding import padded

Rows = tuple[Tensor, Tensor, Tensor, list[int]]
"""Tokens, labels, positions and lengths, as a network takes them."""


@dataclass(frozen=True)
class Rollout:
    """What was drawn for a prompt.

    Attributes:
        prompt: Token ids of the prompt.
        tokens: Those of the answer, its end included.
        text: The answer, without its end.
        is_ended: Whether it came to an end by itself.
    """

    prompt: list[int]
    tokens: list[int]
    text: str
    is_ended: bool


def check_policy(how: Generation) -> None:
    """Refuse to sample from another distribution than the policy at its temperature.

    Raises:
        ValueError: Tokens are left out or penalised, or the most likely one is taken.
    """
    if how.temperature == 0:
        raise ValueError("sampling.temperature is 0: all answers to a prompt would be the same")
    changed = {
        "top_k": (how.top_k, None),
        "top_p": (how.top_p, None),
        "repetition_penalty": (how.repetition_penalty, 1.0),
    }
    for name, (given, wanted) in changed.items():
        if given != wanted:
            raise ValueError(
                f"sampling.{name} is {given}: answers would come from another distribution than "
                f"the one that is trained; it must be {wanted}"
            )


def draw_answers(
    network: LanguageModel,
    tokenizer: Any,
    token_PL: Tensor,
    mask_PL: Tensor,
    how: Generation,
    generators: Sequence[torch.Generator],
) -> list[Rollout]:
    """An answer to each prompt, without dropout.

    Args:
        network: The model.
        tokenizer: Of its tokens.
        token_PL: Prompts, padded on the left.
        mask_PL: True where a token is real.
        how: How tokens are chosen.
        generators: Where the draws come from, one a prompt.
    """
    with evaluating(network):
        out = generate(network, token_PL, mask_PL, tokenizer, how, generators=generators)
    ends, stops = end_ids(how, tokenizer), StopStrings(tokenizer, how.stop)
    found = []
    for token, is_real, whole in zip(token_PL, mask_PL, out, strict=True):
        prompt, new = token[is_real.bool()].tolist(), up_to_end(whole[len(token) :].tolist(), ends)
        tokens = stops.up_to(prompt, new)
        is_stopped = bool(how.stop) and stops.are_in(prompt, tokens)
        text = cut(new_text(tokenizer, prompt, tokens), how.stop)
        found.append(Rollout(prompt, tokens, text, is_stopped or tokens[-1] in ends))
    return found


def rows_of(answers: Sequence[Rollout], device: torch.device) -> Rows:
    """Prompts with their answers as rows, padded on the right; the answers alone have labels."""
    token_AL, _ = padded([[*one.prompt, *one.tokens] for one in answers], left=False)
    label_AL = torch.full_like(token_AL, IGNORE)
    position_AL = torch.zeros_like(token_AL)
    lengths = []
    for a, one in enumerate(answers):
        first, end = len(one.prompt), len(one.prompt) + len(one.tokens)
        label_AL[a, first - 1 : end - 1] = token_AL[a, first:end]
        rest = token_AL.shape[1] - end
        position_AL[a] = torch.cat([torch.arange(end), torch.arange(rest)])
        lengths += [end, rest] if rest else [end]
    return token_AL.to(device), label_AL.to(device), position_AL.to(device), lengths
