"""Prompts with the words that label them, as rows whose only targets are those words.

The loss of such rows is the in-context loss of Han et al. (2023, sec. 2):

    L_ICL(x, y) = -sum_t log p(y_t | demonstrations, x, y_<t)

Shape legend: B = rows, L = tokens of the longest row.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from modules.causal_lm.loss import IGNORE
from modules.causal_lm.system import TokenBatch
from modules.causal_lm.tokens.padding import padded
from modules.causal_lm.tokens.prompts import continuation_ids, document_prefix


@dataclass(frozen=True)
class LabelRow:
    """A prompt and what follows it.

    Attributes:
        prompt: Token ids, which start as documents do in training.
        word: Token ids of what follows.
        num_bytes: UTF-8 bytes of what follows.
    """

    prompt: tuple[int, ...]
    word: tuple[int, ...]
    num_bytes: int

    @staticmethod
    def of(tokenizer: Any, prompt: str, word: str) -> "LabelRow":
        """The row of a prompt and its continuation, verbatim with its leading space.

        Raises:
            ValueError: The continuation has no token.
        """
        before, after = (
            document_prefix(tokenizer, prompt),
            continuation_ids(tokenizer, prompt, word),
        )
        return LabelRow(tuple(before), tuple(after), len(word.encode()))

    @property
    def read(self) -> tuple[int, ...]:
        """What a model reads; nothing follows the last token, which it need not."""
        return self.prompt + self.word[:-1]

    @property
    def label(self) -> tuple[int, ...]:
        """What follows each token that is read, where that is to be predicted."""
        return (IGNORE,) * (len(self.prompt) - 1) + self.word


def label_rows(
    tokenizer: Any,
    prompts: Sequence[str],
    words: Sequence[str],
    device: torch.device | str = "cpu",
) -> TokenBatch:
    """Rows whose loss is the sum of -log p(word | prompt), in nats.

    With `modules.causal_lm.system.parts` they are what `LanguageModel.loss` takes; it has
    gradients.

    Args:
        tokenizer: Of transformers.
        prompts: Demonstrations and question, one prompt a row.
        words: What follows each, verbatim with its leading space.
        device: Of the result.

    Raises:
        ValueError: A word has no token.
    """
    pairs = zip(prompts, words, strict=True)
    return as_batch([LabelRow.of(tokenizer, *pair) for pair in pairs], device)


def as_batch(rows: Sequence[LabelRow], device: torch.device | str = "cpu") -> TokenBatch:
    """Rows of one document each, and the padding behind it."""
    token_BL, mask_BL = padded([row.read for row in rows], left=False)
    label_BL, _ = padded([row.label for row in rows], left=False, pad=IGNORE)
    length_B1 = mask_BL.sum(1, keepdim=True)
    at_L = torch.arange(token_BL.shape[1])
    pairs = torch.cat([length_B1, len(at_L) - length_B1], dim=1).flatten().tolist()
    num_targets = sum(len(row.word) for row in rows)
    return TokenBatch(
        token_BL=token_BL.to(device),
        label_BL=label_BL.to(device),
        position_BL=torch.where(mask_BL == 1, at_L, at_L - length_B1).to(device),
        length_N=[length for length in pairs if length],
        num_targets=num_targets,
        step_targets=num_targets,
        num_bytes=float(sum(row.num_bytes for row in rows)),
    )
