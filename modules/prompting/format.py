"""Prompt formats: how a branch presents a question."""

from string import Formatter
from typing import Any

from modules.prompting.question import Question
from modules.prompting.templates import TemplateOptions, as_chat


def fill_in(text: str, question: Question) -> str:
    """A text in which names in braces are replaced by the question's fields.

    Raises:
        ValueError: The question lacks a field; names the text, the field and those it has.
    """
    for name in names_in(text):
        if name not in question:
            raise ValueError(f"the prompt {text!r}: no {name!r} among {', '.join(question)}")
    return text.format_map(question)


def names_in(text: str) -> list[str]:
    """The field names in braces.

    Raises:
        ValueError: Unbalanced braces; the message says how literal braces are written.
    """
    try:
        return [name for _, name, _, _ in Formatter().parse(text) if name is not None]
    except ValueError as error:
        raise ValueError(
            f"the prompt {text!r}: {error}; literal braces are written {{{{ }}}}"
        ) from None


class Formatted:
    """A prompt in which names in braces are fields: "{context} {question}".

    Args:
        text: The prompt; it is stripped, so that an empty field leaves no space at the ends.
        special_tokens: Whether the tokenizer adds its start and end.
    """

    def __init__(self, text: str, special_tokens: bool = True):
        names_in(text)  # refused before anything is loaded
        self.text = text
        self.special_tokens = special_tokens

    def __call__(self, question: Question, tokenizer: Any) -> str:
        """The prompt of a question."""
        return fill_in(self.text, question).strip()


class ChatPrompt:
    """A prompt by the tokenizer's chat template, which adds the special tokens itself.

    Args:
        user: The user message; names in braces are fields.
        system: The system message; none if None.
        answer: Prefix of the answer.
        template_options: Further arguments of the template, such as `enable_thinking: false`.
        fold_system: Whether the system message is put at the beginning of the user message, for
            templates without a system role.
    """

    special_tokens = False

    def __init__(
        self,
        user: str,
        system: str | None = None,
        answer: str = "",
        template_options: TemplateOptions | None = None,
        fold_system: bool = False,
    ):
        self.user = user
        self.system = system
        self.answer = answer
        self.template_options = template_options
        self.fold_system = fold_system

    def __call__(self, question: Question, tokenizer: Any) -> str:
        """The prompt of a question.

        Raises:
            ValueError: The tokenizer has no chat template, or the template refuses the turns.
        """
        turns = [("system", self.system), ("user", self.user)]
        messages = [
            {"role": role, "content": fill_in(text, question).strip()}
            for role, text in turns
            if text is not None
        ]
        text = as_chat(messages, tokenizer, self.template_options, self.fold_system)
        return text + self.answer
