"""Proxy-tuning of a model at an endpoint, as a config names it, and its records."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from threading import Lock
from typing import Any, Literal

from torch import Tensor

from modules.causal_lm.tokens.ends import ends_of
from modules.causal_lm.tokens.prompts import prompt_ids
from modules.decoding.black_box.choices import choose
from modules.decoding.black_box.decode import BlackBox, ProxySampling
from modules.decoding.black_box.offsets import LocalOffsets, Offsets
from modules.decoding.black_box.records import chosen, totals, written
from modules.decoding.black_box.token_strings import Form, TokenStrings
from modules.decoding.black_box.top_logprobs import ChatTopLogprobs, TextTopLogprobs, TopLogprobs
from modules.decoding.branches.branches import Branch
from modules.decoding.branches.rows import prompt_room
from modules.decoding.branches.vocabulary import check_same
from modules.decoding.fitting import fitted, num_tokens, without_end
from modules.decoding.methods import Wording, branches_of, worded
from modules.decoding.pretrained import Pretrained
from modules.decoding.records import Record, Totals
from modules.endpoint.client import Endpoint, Patience
from modules.prompting.question import Question


class EndpointConfig(Endpoint):
    """An endpoint as a config names it.

    Args:
        base_url: Such as `http://127.0.0.1:8000/v1`.
        model: The model's name at the endpoint.
        key_variable: Environment variable that holds the key; None if none is needed.
        patience: Retries and timeout.
        extra: Fields added to every request, or replacing ours; None removes a field.
        at_once: Maximum number of concurrent requests; questions come in batches, so batch_size
            should be at least as large.
    """

    def __init__(
        self,
        base_url: str,
        model: str,
        key_variable: str | None = None,
        patience: Patience = Patience(),  # noqa: B008 - frozen
        extra: dict[str, bool | int | float | str | None] | None = None,
        at_once: int = 8,
    ):
        super().__init__(base_url, model, key_variable, patience, extra, at_once)


@dataclass(frozen=True)
class RemoteProxyTuned:
    """Proxy-tuning (Liu et al., 2024) of a model that reports only its likeliest tokens.

    Attributes:
        endpoint: The base.
        expert: Small tuned model.
        antiexpert: The small model before it was tuned.
        api: Whether the base continues a `text` (/completions) or answers a `chat`
            (/chat/completions).
        top_k: Number of tokens requested from the base, K.
        prompt: The base's prompt; of a chat, the user message.
        expert_prompt: The expert's prompt, with `{prompt}` for the base's; the same if None.
        alpha: Weight of the difference between expert and anti-expert.
        cut_field: Field that is truncated if a prompt is too long for an expert.
        as_ids: Whether the base is given ids of the experts' tokenizer instead of text. Only then
            is it certain to read exactly the chosen tokens.
        continuation_fields: Fields of a request that make a chat continue a partial answer
            (`ChatTopLogprobs`).
        forms: Ways in which the endpoint may write tokens (`TokenStrings`).
    """

    endpoint: EndpointConfig
    expert: Pretrained
    antiexpert: Pretrained
    api: Literal["text", "chat"] = "text"
    top_k: int = 5
    prompt: Wording = "{question}"
    expert_prompt: Wording | None = None
    alpha: float = 1.0
    cut_field: str = "context"
    as_ids: bool = False
    continuation_fields: dict[str, bool | int | str] | None = None
    forms: list[Form] = field(default_factory=lambda: ["text", "decoded", "piece"])

    def load(self) -> tuple[Branch, Branch]:
        """Load the experts, each with the base's prompt.

        Raises:
            ValueError: Their vocabularies differ.
        """
        prompt = worded(self.prompt)
        expert, antiexpert = branches_of((self.expert, self.antiexpert), (prompt, prompt))
        check_same(expert.tokenizer, antiexpert.tokenizer, "the anti-expert")
        return expert, antiexpert

    def base(self, tokenizer: Any) -> TopLogprobs:
        """The base."""
        if self.api == "chat":
            return ChatTopLogprobs(self.endpoint, self.top_k, self.continuation_fields)
        return TextTopLogprobs(self.endpoint, self.top_k, tokenizer if self.as_ids else None)

    def reworded(self, tokenizer: Any) -> Callable[[str], str]:
        """Makes the expert's prompt from the base's."""
        if self.expert_prompt is None:
            return str
        wording = worded(self.expert_prompt)
        return lambda prompt: wording({"prompt": prompt}, tokenizer)


@dataclass(frozen=True)
class Locked:
    """Offsets of local models that serve one question at a time.

    Attributes:
        offsets: Of one text.
        lock: Held while they are computed; shared by all texts.
    """

    offsets: Offsets
    lock: Lock

    def __call__(self, prompt: str, continuation: Sequence[int]) -> Tensor:
        """The offsets [V]."""
        with self.lock:
            return self.offsets(prompt, continuation)


class RemoteProxy:
    """Answers questions by a proxy-tuned model at an endpoint.

    Args:
        method: The base, experts, prompts and weights.
        how: How tokens are chosen; if it names no end, the expert's end tokens end a text.
        per_token: Whether records list every token.

    Attributes:
        num_cut: Number of questions cut so far.
        at_once: Maximum number of concurrent questions.
    """

    def __init__(self, method: RemoteProxyTuned, how: ProxySampling, per_token: bool = False):
        self.method = method
        self.how = how
        self.per_token = per_token
        self.num_cut = 0
        self.at_once = method.endpoint.at_once
        self.lock = Lock()

    def load(self) -> list[Any]:
        """Load the experts."""
        expert, antiexpert = self.method.load()
        self.tokenizer, self.prompt = expert.tokenizer, expert.prompt
        self.models = [expert.model, antiexpert.model]
        self.reworded = self.method.reworded(self.tokenizer)
        self.base = self.method.base(self.tokenizer)
        self.token_strings = TokenStrings(self.tokenizer, self.method.forms)
        if not self.how.end:
            self.how = replace(self.how, end=sorted(ends_of(expert.model, self.tokenizer)))
        return self.models

    def box(self) -> BlackBox:
        """The tuned model, for one question: its caches hold one text."""
        expert, antiexpert = self.models
        alpha = self.method.alpha
        offsets = LocalOffsets(expert, antiexpert, self.tokenizer, alpha, self.reworded)
        return BlackBox(self.base, Locked(offsets, self.lock), self.token_strings, self.how)

    def ask(self, question: Question, choices: Sequence[str], right: int, name: str = "") -> Record:
        """A text, or one of the choices, ready for JSON.

        A choice is a single token, with or without a space before it.
        """
        if not choices:
            prompt, num_cut = self._prompt(question, self.how.max_new_tokens)
            found = self.box().write(prompt, name)
            return {"num_cut": num_cut, **written(found, self.per_token)}
        prompt, num_cut = self._prompt(question, 1)
        named = {choice: (choice.strip(), " " + choice.strip()) for choice in choices}
        answer = choose(self.box(), prompt, named)
        truth = choices[right] if right >= 0 else None
        return {"num_cut": num_cut, **chosen(answer, truth)}

    def totals(self, records: Sequence[Record]) -> Totals:
        """Counts of texts and choices, and accuracies."""
        return totals(records)

    def _prompt(self, question: Question, num_new: int) -> tuple[str, int]:
        """The base's prompt of a question cut to the experts' context; number of tokens cut."""
        field = self.method.cut_field
        short = fitted(
            question,
            lambda one: self._excess(one, num_new),
            lambda one, over: without_end(one, field, over, self.tokenizer),
        )
        prompt = self.prompt(short, self.tokenizer)
        if short is question:
            return prompt, 0
        with self.lock:
            self.num_cut += 1
        warnings.warn(
            f"a question was too long for the experts: the end of its {field} was cut off, "
            f"for the base, too ({self.num_cut} so far)",
            stacklevel=3,
        )
        before, after = (num_tokens(one, self.tokenizer) for one in (question, short))
        return prompt, max(1, before - after)

    def _excess(self, question: Question, num_new: int) -> int:
        prompt = self.prompt(question, self.tokenizer)
        prompts = [self.reworded(prompt), prompt]
        lengths = [len(prompt_ids(self.tokenizer, one)) for one in prompts]
        rooms = [prompt_room(model, num_new) for model in self.models]
        pairs = zip(lengths, rooms, strict=True)
        return max(0 if room is None else length - room for length, room in pairs)
