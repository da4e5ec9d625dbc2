"""How a small model generates: its next tokens against those of its whole forward pass."""

import torch

from modules.causal_lm.probe.comparison import (
    TOLERANCE,
    ProbedModel,
    difference,
    in_deviations,
    unrun,
)
from modules.causal_lm.probe.reference import Rows
from modules.causal_lm.probe.verdict import Cache, Sampling
from modules.causal_lm.tokens.padding import padded

NUM_NEW = 3
"""Tokens that are generated: one from the prompt, the others from the cache."""


def sampling(probed: ProbedModel, rows: Rows) -> tuple[Sampling | None, str]:
    """The first way of generating that gives the model's own next tokens, or why none does.

    Args:
        probed: The model.
        rows: Their first two documents are the prompts.
    """
    why = ""
    first = "sdpa" if probed.attention == "documents" else probed.attention
    caches: tuple[Cache, ...] = ("growing", "own", "none")
    for attention in dict.fromkeys((first, "sdpa", "eager")):
        for cache in caches:
            probed.network.sampling = Sampling(attention, cache)
            try:
                off = generation_error(probed, rows)
            except Exception as error:
                why = why or unrun(error).message
                continue
            if off <= TOLERANCE:
                return probed.network.sampling, ""
            why = why or f"the next tokens of padded prompts are off by {in_deviations(off)}"
    return None, why


@torch.no_grad()
def generation_error(probed: ProbedModel, rows: Rows) -> float:
    """How far scores of tokens generated in a batch are from those of each text alone."""
    prompts = list(rows.documents(rows.tokens.flatten()))[:2]
    token, mask = padded([one.tolist() for one in prompts], pad=1)
    out = probed.network.generate(
        token,
        mask,
        max_new_tokens=NUM_NEW,
        min_new_tokens=NUM_NEW,
        do_sample=False,
        output_logits=True,
        return_dict_in_generate=True,
        eos_token_id=probed.model.config.vocab_size - 1,
        pad_token_id=0,
    )
    wanted = []
    for row, one in enumerate(prompts):
        whole = torch.cat([one, out.sequences[row, token.shape[1] :]])
        logits = probed.reference.logits(whole)
        wanted.append(logits[len(one) - 1 : -1])
    expected = torch.stack(wanted)
    return difference(torch.stack(out.logits, dim=1), expected, expected.std())
