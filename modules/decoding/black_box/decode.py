"""Proxy-tuning of a model at an endpoint that reports only its likeliest tokens.

Every step requests the K likeliest next tokens, adds the logit offsets of a small tuned model
against its untuned version to their log-probabilities, and chooses among them (Liu et al., 2024,
where the API allowed one token only). Every token comes with bounds of the distance from choosing
among all tokens (`modules.decoding.black_box.proxy`).

Shape legend: K = tokens seen, V = vocabulary.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from modules.causal_lm.generate import cut
from modules.decoding.black_box.offsets import Offsets
from modules.decoding.black_box.token_strings import TokenStrings
from modules.decoding.black_box.top_logprobs import LocalCandidates, TopLogprobs, local_candidates
from modules.nn.generators import draw, generator_of


@dataclass(frozen=True)
class ProxySampling:
    """How tokens are chosen among the reweighted ones, and where a text ends.

    Attributes:
        max_new_tokens: Maximum tokens after the prompt.
        temperature: Divides the log-probabilities; 0 takes the likeliest token.
        top_p: Probability mass of the likeliest tokens kept, after the temperature.
        stop: Strings that end a text and are cut off.
        end: Ids that end a text.
        seed: Of all draws; each text has a generator of its own, by its name
            (`modules.nn.generators`).
    """

    max_new_tokens: int = 128
    temperature: float = 0.0
    top_p: float = 1.0
    stop: list[str] = field(default_factory=list)
    end: list[int] = field(default_factory=list)
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse invalid values."""
        if self.max_new_tokens < 1:
            raise ValueError(f"max_new_tokens must be at least 1, got {self.max_new_tokens}.")
        if self.temperature < 0:
            raise ValueError(f"temperature must not be negative, got {self.temperature}.")
        if not 0 < self.top_p <= 1:
            raise ValueError(f"top_p must lie in (0, 1], got {self.top_p}.")
        if "" in self.stop:
            raise ValueError("a stop string is empty.")

    def choose(self, logprob_K: Tensor, generator: torch.Generator) -> int:
        """Position of the next token in the list."""
        if self.temperature == 0:
            return int(logprob_K.argmax())
        p_K, order_K = (logprob_K / self.temperature).softmax(0).sort(descending=True)
        before_K = p_K.cumsum(0) - p_K
        kept_K = p_K.masked_fill(before_K >= self.top_p, 0.0)
        return int(order_K[draw(kept_K[None], [generator])])


class Token(NamedTuple):
    """A chosen token.

    Attributes:
        id: Local id.
        text: Its text.
        p: Its probability among the seen tokens after reweighting, before temperature and top-p.
        low: Lower bound of the total-variation distance of that distribution from the exact one.
        high: Upper bound of it.
        certain: Whether the likeliest seen token is the likeliest of all.
        unknown: Number of listed tokens without a local id.
        listed: Number of listed tokens.
        read_back: Whether the endpoint read exactly the tokens chosen before; else nothing is known
            of the exact distribution.
    """

    id: int
    text: str
    p: float
    low: float
    high: float
    certain: bool
    unknown: int
    listed: int = 0
    read_back: bool = True


class Continuation(NamedTuple):
    """A text written token by token.

    Attributes:
        text: Up to a stop string or an end.
        tokens: All that were chosen, the end and those of the stop string included.
        ended: By a `stop` string, an `end` token, its `length`, the `endpoint`, which gave no
            further token, or because it gave only `unknown` ones.
    """

    text: str
    tokens: list[Token]
    ended: Literal["stop", "end", "length", "endpoint", "unknown"]

    @property
    def is_certain(self) -> bool:
        """Whether a greedy text is that of the base's full distribution."""
        return self.ended != "unknown" and all(one.certain for one in self.tokens)


class BlackBox:
    """A base at an endpoint, tuned by proxy.

    Args:
        base: Reports its likeliest tokens.
        offsets: Added to their log-probabilities.
        token_strings: Of the vocabulary of the offsets, which the base must share for the bounds to
            hold.
        how: How tokens are chosen.
    """

    def __init__(
        self,
        base: TopLogprobs,
        offsets: Offsets,
        token_strings: TokenStrings,
        how: ProxySampling = ProxySampling(),
    ):
        self.base = base
        self.offsets = offsets
        self.token_strings = token_strings
        self.how = how

    def look(self, prompt: str, ids: Sequence[int]) -> LocalCandidates | None:
        """The base's candidates after a continuation; None if it ends the text."""
        reads_text = self.base.needs_whole_characters
        found = self.base(prompt, self.token_strings.text(ids), ids)
        if not found.candidates:
            return None
        seen = local_candidates(found, self.token_strings, reads_text)
        if reads_text and not self.token_strings.is_read_back(self.base.before(prompt), ids):
            return seen._replace(is_read_back=False)
        return seen

    def write(self, prompt: str, name: str = "", index: int = 0) -> Continuation:
        """Continue a prompt, token by token.

        Args:
            prompt: The prompt.
            name: Its name, such as the question's id; with the seed and the index of the answer it
                seeds the draws.
            index: Of the answer.
        """
        generator = generator_of(self.how.seed, name, index)
        tokens: list[Token] = []
        text = ""
        while len(tokens) < self.how.max_new_tokens:
            ids = [one.id for one in tokens]
            seen = self.look(prompt, ids)
            if seen is None or not len(seen.id_K):
                return Continuation(text, tokens, "endpoint" if seen is None else "unknown")
            tokens.append(self._choose(seen, self.offsets(prompt, ids), generator))
            if tokens[-1].id in self.how.end:
                return Continuation(text, tokens, "end")
            text = self.token_strings.text(one.id for one in tokens)
            if any(stop in text for stop in self.how.stop):
                return Continuation(cut(text, self.how.stop), tokens, "stop")
        return Continuation(text, tokens, "length")

    def _choose(self, seen: LocalCandidates, delta_V: Tensor, generator: torch.Generator) -> Token:
        step = seen.step(delta_V)
        index = self.how.choose(step.logprob_K, generator)
        chosen = int(step.id_K[index])
        return Token(
            chosen,
            self.token_strings.text([chosen]),
            float(step.logprob_K[index].exp()),
            step.low,
            step.high,
            step.is_certain,
            len(seen.unmatched),
            len(seen.unmatched) + len(seen.id_K),
            seen.is_read_back,
        )
