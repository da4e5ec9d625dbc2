"""Questions, and the protocol that turns one into a prompt."""

from collections.abc import Mapping
from typing import Any, Protocol

Question = Mapping[str, str]
"""The fields of a question: `question`, `context` and any other that prompts are made of."""


class Prompt(Protocol):
    """Makes the prompt of a branch."""

    def __call__(self, question: Question, tokenizer: Any) -> str:
        """The prompt of a question, as text for that tokenizer."""
