"""Constrained generation of files by a language model, and their likelihood.

Shape legend: B = files, L = longest prefix, N = longest file, V = tokens.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from modules.causal_lm.network import LanguageModel
from modules.causal_lm.score import continuation_logits, of_tokens
from modules.codec_lm.rules import Rules


class LegalTokens:
    """Masks the tokens that the rules forbid; every file is completed within its budget.

    Made for one call of `generate`: it keeps the state of each file.

    Args:
        rules: Of the vocabulary.
        token_BL: Prefixes, left-padded, each with a start token.
        mask_BL: True for tokens, False for padding.
        budget: Most tokens after the prefixes, the end included.

    Raises:
        ValueError: A prefix begins no valid file, or the budget is too small to complete it.
    """

    def __init__(self, rules: Rules, token_BL: Tensor, mask_BL: Tensor, budget: int):
        self.rules = rules
        self.length = token_BL.shape[1]
        self.budget = budget
        self.states: list[Any] = []
        for token, is_real in zip(token_BL.cpu(), mask_BL.cpu(), strict=True):
            state = rules.start
            for given in token[is_real].tolist()[1:]:
                state = rules.advance(state, given)
            need = rules.need(state)
            if budget < need:
                raise ValueError(
                    f"max_new_tokens is {budget}, but a file may need {need} more to end properly."
                )
            self.states.append(state)
        self.is_over = [False] * len(self.states)

    def __call__(self, token_BN: Tensor, score_BV: Tensor) -> Tensor:
        """Scores, minus infinity for tokens that are not legal."""
        num_written = token_BN.shape[1] - self.length
        if num_written:
            for row, token in enumerate(token_BN[:, -1].tolist()):
                self._write(row, token)
        left = self.budget - num_written
        rows = [self._legal(row, left) for row in range(len(self.states))]
        legal_BV = torch.from_numpy(np.stack(rows)).to(score_BV.device)
        beyond = score_BV.shape[1] - legal_BV.shape[1]  # a table may have more rows than tokens
        legal_BV = torch.nn.functional.pad(legal_BV, (0, beyond))
        return score_BV.masked_fill(~legal_BV, -torch.inf)

    def _write(self, row: int, token: int) -> None:
        if self.is_over[row]:
            return
        self.is_over[row] = token == self.rules.end
        self.states[row] = self.rules.advance(self.states[row], token)

    def _legal(self, row: int, left: int) -> np.ndarray:
        return self.rules.legal(self.states[row], None if self.is_over[row] else left)


@torch.no_grad()
def likelihood(network: LanguageModel, token_BN: Tensor, mask_BL: Tensor, end: int) -> Tensor:
    """Negative log-likelihood of each continuation, its end included, in nats, [B].

    Args:
        network: The model.
        token_BN: Files; the first L positions are their prefixes, left-padded.
        mask_BL: True for tokens of the prefixes, False for padding.
        end: The token that ends a file; tokens after it do not count.
    """
    prompt_BL, written = token_BN.tensor_split([mask_BL.shape[1]], dim=1)
    is_end = (written == end).long()
    with network.generating() as model:
        logits = continuation_logits(model, prompt_BL, mask_BL, written)
    nats = -of_tokens(logits.float().log_softmax(-1), written)
    return nats.masked_fill(is_end.cumsum(1) > is_end, 0.0).sum(1)
