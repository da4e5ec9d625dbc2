"""Demonstrations, questions with good answers, and the interface of what supplies them."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Protocol


class Demonstration(Protocol):
    """A question and its answer."""

    @property
    def prompt(self) -> str:
        """What was asked."""

    @property
    def response(self) -> str:
        """A good answer."""


class DemonstrationSource(Protocol):
    """Supplies demonstrations and writes questions in the same way."""

    @property
    def demonstrations(self) -> Sequence[Demonstration]:
        """All demonstrations, read when first needed."""

    def question(self, fields: Mapping[str, str]) -> str:
        """The text of a question, made of its fields as the prompts of the demonstrations are.

        Raises:
            ValueError: The question lacks a field.
        """


class Pool:
    """The demonstrations of a source, found by index or by question.

    Args:
        source: Is read when first needed.
    """

    def __init__(self, source: DemonstrationSource):
        self.source = source

    @property
    def demonstrations(self) -> Sequence[Demonstration]:
        """All demonstrations."""
        return self.source.demonstrations

    @property
    def prompts(self) -> list[str]:
        """The question of each demonstration."""
        return [one.prompt for one in self.demonstrations]

    def question(self, fields: Mapping[str, str]) -> str:
        """The text of a question, made as the prompts of the pool are.

        Raises:
            ValueError: The question lacks a field, or is empty.
        """
        text = self.source.question(fields)
        if not text:
            raise ValueError(f"the question is empty: {dict(fields)!r:.80}.")
        return text

    def same(self, question: str) -> list[int]:
        """Indices of the demonstrations with this question; case and spaces do not count."""
        return self._by_prompt.get(plain(question), [])

    @cached_property
    def _by_prompt(self) -> dict[str, list[int]]:
        found: dict[str, list[int]] = {}
        for index, prompt in enumerate(self.prompts):
            found.setdefault(plain(prompt), []).append(index)
        return found


def plain(text: str) -> str:
    """The normalised text by which equal questions are found: lower case, single spaces."""
    return " ".join(text.casefold().split())
