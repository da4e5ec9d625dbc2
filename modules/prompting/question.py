"""What is asked, and what makes a prompt of it."""

from collections.abc import Mapping
from typing import Any, Protocol

Question = Mapping[str, str]
"""What is asked, by field: `question`, `context` and whatever else prompts are made of."""


class Prompt(Protocol):
    """Makes the prompt of a branch."""

    def __call__(self, question: Question, tokenizer: Any) -> str:
        """The prompt of a question, as text for that tokenizer."""
