"""Log-likelihoods of given continuations, all their tokens in one forward pass (teacher forcing).

Shape legend: R = rows, L = longest prompt, T = tokens of a continuation, V = vocabulary.
"""

from typing import Any

import torch
from torch import Tensor

from modules.causal_lm.forward_arguments import accepted
from modules.causal_lm.tokens.padding import positions


def continuation_logits(model: Any, token_RL: Tensor, mask_RL: Tensor, token_RT: Tensor) -> Tensor:
    """Logits of the tokens of continuations, each given the prompt and the tokens before it.

    Args:
        model: Causal model of transformers.
        token_RL: Prompts, padded on the left.
        mask_RL: 1 where a token of a prompt is real.
        token_RT: The continuations; padded ones on the right, where the logits mean nothing.

    Returns:
        Logits [R, T, V] in the model's type.
    """
    num_new = token_RT.shape[1]
    token_RN = torch.cat([token_RL, token_RT], dim=1)[:, :-1]  # nothing follows the last one
    mask_RN = torch.nn.functional.pad(mask_RL.long(), (0, num_new - 1), value=1)
    extra = accepted(model, position_ids=positions(mask_RN), logits_to_keep=num_new)
    out = model(input_ids=token_RN, attention_mask=mask_RN, use_cache=False, **extra)
    last: Tensor = out.logits[:, -num_new:]  # the others are not computed if the model can
    return last


def of_tokens(log_p: Tensor, token: Tensor) -> Tensor:
    """Log-probabilities [...] of tokens [...] under distributions [..., V]."""
    return log_p.gather(-1, token[..., None])[..., 0]
