"""How a branch words a question."""

from string import Formatter
from typing import Any

from modules.decoding.alignment import InContextAlignment
from modules.decoding.branches import Prompt, Question
from modules.decoding.templates import as_chat


def fill_in(text: str, question: Question) -> str:
    """A text with a question's fields in the places of their names in braces.

    Raises:
        ValueError: The question lacks a field; names it and those it has.
    """
    wanted = [name for _, name, _, _ in Formatter().parse(text) if name is not None]
    for name in wanted:
        if name not in question:
            raise ValueError(
                f"a prompt wants the field {name!r}, but the question has {sorted(question)}"
            )
    return text.format_map(question)


class Formatted:
    """A prompt in which names in braces stand for fields: "{context} {question}".

    Args:
        text: The prompt; blanks at its ends are taken off, so that an empty field leaves none.
        special_tokens: Whether the tokenizer adds its start and end.
    """

    def __init__(self, text: str, special_tokens: bool = True):
        self.text = text
        self.special_tokens = special_tokens

    def __call__(self, question: Question, tokenizer: Any) -> str:
        """The prompt of a question."""
        return fill_in(self.text, question).strip()


class Chat:
    """A prompt in the tokenizer's chat template, which writes the special tokens itself.

    Args:
        user: What the user says; names in braces stand for fields.
        system: What stands before it; nothing where None.
        answer: How the answer begins.
    """

    special_tokens = False

    def __init__(self, user: str, system: str | None = None, answer: str = ""):
        self.user = user
        self.system = system
        self.answer = answer

    def __call__(self, question: Question, tokenizer: Any) -> str:
        """The prompt of a question.

        Raises:
            ValueError: The tokenizer has no chat template.
        """
        turns = [("system", self.system), ("user", self.user)]
        told = [
            {"role": role, "content": fill_in(text, question).strip()}
            for role, text in turns
            if text is not None
        ]
        return as_chat(told, tokenizer) + self.answer


class Demonstrated:
    """A prompt with demonstrations that suit the question before it.

    Args:
        alignment: Finds and packs them.
    """

    special_tokens = False

    def __init__(self, alignment: InContextAlignment):
        self.alignment = alignment

    def __call__(self, question: Question, tokenizer: Any) -> str:
        """The prompt of a question."""
        return self.alignment.prompt(question, tokenizer)


def encode(prompt: Prompt, question: Question, tokenizer: Any) -> list[int]:
    """Token ids of a branch's prompt; with special tokens unless the prompt says it has them."""
    special = getattr(prompt, "special_tokens", True)
    ids: list[int] = tokenizer.encode(prompt(question, tokenizer), add_special_tokens=special)
    start = tokenizer.bos_token_id
    if not ids and special:
        ids = [tokenizer.eos_token_id if start is None else start]
    return ids
