"""The likeliest next tokens of a base model at an endpoint, and their local ids.

Shape legend: K = tokens seen, V = vocabulary.
"""

from collections.abc import Sequence
from dataclasses import replace
from math import exp
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from modules.causal_lm.tokens.prompts import prompt_ids
from modules.decoding.black_box.proxy import Step, proxy_step
from modules.decoding.black_box.token_strings import TokenStrings
from modules.endpoint.client import Endpoint
from modules.endpoint.next_tokens import Candidate, NextTokens, next_of_chat, next_of_text


class TopLogprobs(Protocol):
    """A model that reports the likeliest tokens after a text."""

    needs_whole_characters: bool
    """Whether it reads text, which cannot end within a character, rather than ids."""

    def before(self, prompt: str) -> str:
        """The text before a continuation that it reads as text, as far as known."""

    def __call__(self, prompt: str, text: str, continuation: Sequence[int]) -> NextTokens:
        """The likeliest tokens after a prompt and its continuation, given as text and as ids."""


class TextTopLogprobs:
    """A base queried by `/completions`.

    Args:
        endpoint: The base.
        num: Number of tokens requested, K.
        tokenizer: The base's own, if the endpoint is to be given ids, so that it reads exactly the
            chosen tokens; if None it is given text and tokenises that itself.
    """

    def __init__(self, endpoint: Endpoint, num: int = 5, tokenizer: Any = None):
        self.endpoint = endpoint
        self.num = num
        self.tokenizer = tokenizer
        self.needs_whole_characters = tokenizer is None

    def before(self, prompt: str) -> str:
        """The prompt."""
        return prompt

    def __call__(self, prompt: str, text: str, continuation: Sequence[int]) -> NextTokens:
        """The likeliest tokens."""
        whole: str | list[int] = prompt + text
        if self.tokenizer is not None:
            whole = [*prompt_ids(self.tokenizer, prompt), *continuation]
        return next_of_text(self.endpoint, whole, self.num)


class ChatTopLogprobs:
    """A base queried by `/chat/completions`; the prompt is the user message.

    Args:
        endpoint: The base.
        num: Number of tokens requested, K.
        continuation_fields: Fields of a request that make the endpoint continue a partial answer,
            such as vLLM's `{"continue_final_message": True, "add_generation_prompt": False}`; if
            None only the first token can be requested.
    """

    needs_whole_characters = True

    def __init__(
        self, endpoint: Endpoint, num: int = 20, continuation_fields: dict[str, Any] | None = None
    ):
        self.endpoint = endpoint
        self.num = num
        self.continuation_fields = continuation_fields

    def before(self, prompt: str) -> str:
        """A newline, as chat templates write it before an answer; the rest is unknown."""
        return "\n"

    def __call__(self, prompt: str, text: str, continuation: Sequence[int]) -> NextTokens:
        """The likeliest tokens.

        Raises:
            ValueError: The answer has begun, and `continuation_fields` is None.
        """
        messages = [{"role": "user", "content": prompt}]
        if not continuation:
            return next_of_chat(self.endpoint, messages, self.num)
        if self.continuation_fields is None:
            raise ValueError(
                "a chat endpoint gives one token only, unless `continuation_fields` says how to "
                "continue a partial answer; set max_new_tokens to 1, or use /completions."
            )
        messages.append({"role": "assistant", "content": text})
        return next_of_chat(self.endpoint, messages, self.num, **self.continuation_fields)


class LocalCandidates(NamedTuple):
    """An endpoint's candidates in local ids.

    Attributes:
        id_K: Local ids, distinct.
        logprob_K: Their log-probabilities, float64.
        unmatched: Probabilities of the listed tokens without a local id.
        cap: Upper bound of the probability of an unlisted token.
        is_read_back: Whether the endpoint reads exactly the chosen tokens.
    """

    id_K: Tensor
    logprob_K: Tensor
    unmatched: list[float]
    cap: float
    is_read_back: bool = True

    def step(self, delta_V: Tensor) -> Step:
        """The reweighted distribution and its bounds; vacuous if other tokens were read."""
        step = proxy_step(self.id_K, self.logprob_K, delta_V, self.cap, self.unmatched)
        return step if self.is_read_back else replace(step, low=0.0, high=1.0, is_certain=False)


def local_candidates(
    found: NextTokens, token_strings: TokenStrings, whole: bool = False
) -> LocalCandidates:
    """Map an endpoint's candidates to local ids.

    Args:
        found: The candidates.
        token_strings: Of the local vocabulary.
        whole: Whether only tokens of complete characters can be used.
    """
    claims: dict[int, list[Candidate]] = {}
    unmatched = []
    for one in found.candidates:
        i = token_strings.id(one)
        if i is None or (whole and not token_strings.is_whole(i)):
            unmatched.append(exp(one.logprob))
        else:
            claims.setdefault(i, []).append(one)
    clear = {i: ones[0].logprob for i, ones in claims.items() if len(ones) == 1}
    unmatched += [exp(one.logprob) for ones in claims.values() if len(ones) > 1 for one in ones]
    return LocalCandidates(
        torch.tensor(list(clear), dtype=torch.long),
        torch.tensor(list(clear.values()), dtype=torch.float64),
        unmatched,
        found.cap,
    )
