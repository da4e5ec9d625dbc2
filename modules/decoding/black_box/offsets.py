"""Logit offsets of a small tuned model against its untuned version, token by token.

Shape legend: V = tokens.
"""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from modules.causal_lm.tokens.prompts import prompt_ids
from modules.causal_lm.tokens.vocabulary import vocabulary_size


class Offsets(Protocol):
    """Offsets that are added to the base's logits of the next token."""

    def __call__(self, prompt: str, continuation: Sequence[int]) -> Tensor:
        """The offsets [V] after a prompt and the local ids of its continuation so far."""


class LocalOffsets:
    """delta = alpha (s_expert - s_antiexpert) of two local models (Liu et al., 2024, eq. 1).

    Both keep their key-value caches from one token to the next.

    Args:
        expert: Small causal model, tuned.
        antiexpert: The same one before it was tuned.
        tokenizer: Of both; logits beyond its vocabulary are dropped.
        alpha: Factor.
        expert_prompt: Makes the expert's prompt from the base's, such as one for chats.
        antiexpert_prompt: Makes the anti-expert's.

    Raises:
        ValueError: A model has fewer logits than the tokenizer has tokens.
    """

    def __init__(
        self,
        expert: Any,
        antiexpert: Any,
        tokenizer: Any,
        alpha: float = 1.0,
        expert_prompt: Callable[[str], str] = str,
        antiexpert_prompt: Callable[[str], str] = str,
    ):
        for name, model in (("expert", expert), ("anti-expert", antiexpert)):
            width = model.get_output_embeddings().weight.shape[0]
            if width < vocabulary_size(tokenizer):
                raise ValueError(
                    f"the {name} has {width} logits, but the tokenizer ids up to "
                    f"{vocabulary_size(tokenizer) - 1}."
                )
        self.followers = (Follower(expert), Follower(antiexpert))
        self.prompts = (expert_prompt, antiexpert_prompt)
        self.tokenizer = tokenizer
        self.alpha = alpha

    def __call__(self, prompt: str, continuation: Sequence[int]) -> Tensor:
        """The offsets [V], float32."""
        expert, antiexpert = (
            follower.logits([*prompt_ids(self.tokenizer, make(prompt)), *continuation]).cpu()
            for follower, make in zip(self.followers, self.prompts, strict=True)
        )
        width = vocabulary_size(self.tokenizer)
        return self.alpha * (expert[:width].float() - antiexpert[:width].float())


class Follower:
    """A causal model that reads a growing text and keeps its key-value cache.

    Args:
        model: Of transformers.
    """

    def __init__(self, model: Any):
        self.model = model.eval()
        self.ids: list[int] = []
        self.cache: Any = None

    @torch.no_grad()
    def logits(self, ids: list[int]) -> Tensor:
        """Logits of the token after these; only the new ones are computed if they extend the last.

        Raises:
            ValueError: There are no ids, or more than the model has positions.
        """
        context = getattr(self.model.config, "max_position_embeddings", None)
        if not ids or (context is not None and len(ids) > context):
            raise ValueError(f"a text of {len(ids)} tokens for a model of {context} positions.")
        cache, known = self.cache, len(self.ids)
        self.cache = None  # invalid if the model fails half-way
        if cache is None or known >= len(ids) or ids[:known] != self.ids:
            cache, known = self._new_cache(), 0
        new = torch.tensor([ids[known:]], device=self.model.device)
        output = self.model(input_ids=new, past_key_values=cache, use_cache=True)
        self.ids, self.cache = list(ids), output.past_key_values
        logit_V: Tensor = output.logits[0, -1]
        return logit_V

    def _new_cache(self) -> Any:
        from modules.causal_lm.kv_cache import (
            growing_cache,  # imports transformers, which takes seconds
        )

        return growing_cache(self.model.config)
