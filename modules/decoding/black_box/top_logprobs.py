"""The likeliest next tokens of a base model behind an endpoint, and which local tokens they are.

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
    """A model that tells the likeliest tokens behind a text."""

    needs_whole_characters: bool
    """Whether it reads texts, which cannot end within a character, rather than ids."""

    def before(self, prompt: str) -> str:
        """What stands before a continuation that it reads as text, as far as that is known."""

    def __call__(self, prompt: str, text: str, continuation: Sequence[int]) -> NextTokens:
        """The likeliest tokens behind a prompt and its continuation, given as text and as ids."""


class TextTopLogprobs:
    """A base asked by `/completions`.

    Args:
        endpoint: The base.
        num: Tokens asked for, K.
        tokenizer: The base's own, if the endpoint shall be given ids, so that it reads just the
            tokens that were chosen; where None it is given text and cuts that into tokens itself.
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
    """A base asked by `/chat/completions`; the prompt is the user's message.

    Args:
        endpoint: The base.
        num: Tokens asked for, K.
        going_on: Fields of a request that make the endpoint go on with a half-finished answer, such
            as vLLM's `{"continue_final_message": True, "add_generation_prompt": False}`; where None
            only the first token can be asked for.
    """

    needs_whole_characters = True

    def __init__(self, endpoint: Endpoint, num: int = 20, going_on: dict[str, Any] | None = None):
        self.endpoint = endpoint
        self.num = num
        self.going_on = going_on

    def before(self, prompt: str) -> str:
        """A line's end, as chat templates write it before an answer; the rest is theirs."""
        return "\n"

    def __call__(self, prompt: str, text: str, continuation: Sequence[int]) -> NextTokens:
        """The likeliest tokens.

        Raises:
            ValueError: The answer has begun, and nothing is known of how to go on.
        """
        messages = [{"role": "user", "content": prompt}]
        if not continuation:
            return next_of_chat(self.endpoint, messages, self.num)
        if self.going_on is None:
            raise ValueError(
                "a chat endpoint tells one token only, unless `going_on` says how to go on with a "
                "half-finished answer; set max_new_tokens to 1, or ask by /completions."
            )
        messages.append({"role": "assistant", "content": text})
        return next_of_chat(self.endpoint, messages, self.num, **self.going_on)


class LocalCandidates(NamedTuple):
    """An endpoint's list in local ids.

    Attributes:
        id_K: Local ids, distinct.
        logprob_K: Their log-probabilities, float64.
        unmatched: Probabilities of the listed tokens without a local id.
        cap: The most probability that an unlisted token may have.
        is_read_back: Whether the endpoint was seen to read just the tokens that were chosen.
    """

    id_K: Tensor
    logprob_K: Tensor
    unmatched: list[float]
    cap: float
    is_read_back: bool = True

    def step(self, delta_V: Tensor) -> Step:
        """The reweighted distribution and its bounds; none where other tokens were read."""
        step = proxy_step(self.id_K, self.logprob_K, delta_V, self.cap, self.unmatched)
        return step if self.is_read_back else replace(step, low=0.0, high=1.0, is_certain=False)


def local_candidates(
    found: NextTokens, token_strings: TokenStrings, whole: bool = False
) -> LocalCandidates:
    """Put an endpoint's list in local ids.

    Args:
        found: The list.
        token_strings: Of the local vocabulary.
        whole: Whether only tokens of whole characters can be used.
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
