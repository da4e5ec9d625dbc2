"""Conversations as token ids, and the mask of answers."""

import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from datamodules.instructions.chats import ANSWERS, Conversation, Message
from datamodules.records.document import BadSample, Document
from datamodules.records.errors import BadSampleError
from datamodules.records.faults import attempt
from datamodules.text.token_file import Encoded
from datamodules.text.tokenizer import TextTokenizer

Learn = Literal["all", "last", "text"]
"""Which answers of a conversation are targets; `text`: everything is, questions included."""
MARKS = re.compile(r"{%-?\s*generation\s*-?%}")
"""Marker of an answer in a template."""


@dataclass(frozen=True)
class ChatTokenizer:
    """A tokenizer with a chat template.

    The ids are exactly those of `apply_chat_template`; only if the last answer does not end in
    a special token, the end token follows it as a target, since nothing else would ever end
    an answer.

    If the template marks answers (`{% generation %}`), these are targets; else the tokens that each
    answer adds after its prompt. That requires the prompt to be a prefix of the whole,
    token by token; other conversations are rejected. Some templates remove the reasoning from
    earlier turns; then only the last answer can be a target.

    Attributes:
        vocabulary: The tokenizer.
        template: The chat template.
        learn: What is a target.
    """

    vocabulary: TextTokenizer
    template: str
    learn: Learn = "all"

    @property
    def name(self) -> str:
        """Folder or name on the hub."""
        return self.vocabulary.name

    @property
    def start(self) -> int:
        """Id before texts; conversations start as the template defines."""
        return self.vocabulary.start

    @property
    def eos(self) -> int:
        """Id after the last answer, if the template has none."""
        return self.vocabulary.eos

    @property
    def vocab_size(self) -> int:
        """One more than the highest id."""
        return self.vocabulary.vocab_size

    @cached_property
    def fingerprint(self) -> str:
        """Changes whenever ids or targets of a conversation may have changed."""
        told = f"{self.vocabulary.fingerprint} {self.template} {self.learn}"
        return hashlib.sha256(told.encode()).hexdigest()

    def encode_documents(
        self, documents: Iterable[Document | BadSample]
    ) -> Iterator[Encoded | BadSample]:
        """Ids, bytes of the target answers and target mask of each conversation.

        Raises:
            ValueError: As `check_border`.
        """
        is_checked = False
        for one in documents:
            if isinstance(one, Conversation) and not is_checked:
                self.check_border(one.messages)
                is_checked = True
            yield one if isinstance(one, BadSample) else attempt(one.origin, self._encoded, one)

    def check_border(self, messages: list[Message]) -> None:
        """Refuse a template whose prompts end inside of a token.

        A prompt that ends in a blank has a token of that blank, where in training the blank begins
        the first word of the answer: a model would then be asked what it has never read.

        Raises:
            ValueError: The last answer's prompt is the beginning of the whole as text, but not as
                tokens.
        """
        if not MARKS.search(self.template) or len(messages) < 2:
            return  # without marks every prompt is compared
        as_text: dict[str, Any] = {"tokenize": False, "return_dict": False}
        asked = self._apply(messages[:-1], add_generation_prompt=True, **as_text)
        whole = self._apply(messages, **as_text)
        if not whole.startswith(asked):
            return  # a template that tells earlier turns in another way
        ids, before = self._ids(messages), self.prompt(messages[:-1])
        if ids[: len(before)] != before:
            raise ValueError(
                f"the chat template ends prompts with {asked[-8:]!r}, which is tokenised together "
                "with the answer that follows: models would be asked otherwise than they are "
                "trained. End the prompt with a line feed, or begin the answer with the blank"
            )

    def prompt(self, messages: list[Message]) -> list[int]:
        """Ids of the prompt of an answer."""
        return self._ids(messages, add_generation_prompt=True)

    def _encoded(self, document: Document) -> Encoded:
        if not isinstance(document, Conversation):
            raise BadSampleError("no conversation")
        messages = document.messages
        by = self._by_marks if MARKS.search(self.template) else self._by_prefixes
        ids, is_target = by(messages)
        answers = [str(one["content"]) for one in messages if one["role"] == ANSWERS]
        if self.learn == "last":
            answers, is_target = answers[-1:], _last_run(is_target)
        if not any(is_target[1:]):
            raise BadSampleError("the chat template leaves no answer to be learnt")
        ids, is_target = self._ended(ids, is_target)
        if self.learn == "text":
            said = [str(one["content"]) for one in messages]
            return Encoded(ids, sum(len(one.encode()) for one in said), [True] * len(ids))
        return Encoded(ids, sum(len(answer.encode()) for answer in answers), is_target)

    def _ended(self, ids: list[int], is_target: list[bool]) -> tuple[list[int], list[bool]]:
        """The same, with the end token after the last answer if no special token is there."""
        end = len(is_target) - is_target[::-1].index(True)
        last = [
            ids[n] for n in (end - 2, end - 1) if is_target[n]
        ]  # the last token may be a line feed
        if self._special.intersection([*last, *ids[end:]]):
            return ids, is_target
        return [*ids[:end], self.eos], [*is_target[:end], True]

    @cached_property
    def _special(self) -> frozenset[int]:
        backend = self.vocabulary.backend
        added = {n for n, token in backend.added_tokens_decoder.items() if token.special}
        return frozenset(added.union(backend.all_special_ids))

    def _by_marks(self, messages: list[Message]) -> tuple[list[int], list[bool]]:
        found = self._apply(messages, return_dict=True, return_assistant_tokens_mask=True)
        is_target = [bool(one) for one in found["assistant_masks"]]
        answers = sum(one["role"] == ANSWERS for one in messages)
        if (marked := _num_runs(is_target)) < answers:
            raise BadSampleError(f"the chat template marks {marked} of {answers} answers")
        return list(found["input_ids"]), is_target

    def _by_prefixes(self, messages: list[Message]) -> tuple[list[int], list[bool]]:
        ids = self._ids(messages)
        is_target = [False] * len(ids)
        answers = [n for n, one in enumerate(messages) if one["role"] == ANSWERS]
        for n in answers[-1:] if self.learn == "last" else answers:
            before, through = self.prompt(messages[:n]), self._ids(messages[: n + 1])
            if ids[: len(before)] != before or ids[: len(through)] != through:
                raise BadSampleError(
                    f"the chat template writes turns 1 to {n + 1} otherwise by themselves than "
                    "in the whole: mark answers in it by generation, or take another"
                )
            is_target[len(before) : len(through)] = [True] * (len(through) - len(before))
        return ids, is_target

    def _ids(self, messages: list[Message], add_generation_prompt: bool = False) -> list[int]:
        return list(self._apply(messages, add_generation_prompt=add_generation_prompt)["input_ids"])

    def _apply(self, messages: list[Message], **options: Any) -> Any:
        backend = self.vocabulary.backend
        fixed = {"tokenize": True, "return_dict": True, "tokenizer_kwargs": {"verbose": False}}
        return backend.apply_chat_template(messages, chat_template=self.template, **fixed | options)


def _num_runs(is_target: list[bool]) -> int:
    """Number of runs of target tokens."""
    pairs = zip([False, *is_target], is_target, strict=False)
    return sum(now and not before for before, now in pairs)


def _last_run(is_target: list[bool]) -> list[bool]:
    """The mask of the last run of targets only."""
    end = len(is_target) - is_target[::-1].index(True) if any(is_target) else 0
    start = end
    while start and is_target[start - 1]:
        start -= 1
    return [start <= n < end for n in range(len(is_target))]
