"""What a task for decoding methods is, and what supplies such tasks."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from typing_extensions import override

from datamodules.records.document import BadSample


@dataclass(frozen=True)
class Question:
    """One task: texts that prompts are made of, and what is known of the right answer.

    Attributes:
        id: Names it among all questions, from run to run.
        origin: File and line or row, counted from 1.
        fields: Texts by name, such as `context` and `question`; empty where there is none.
        references: Acceptable answers.
        choices: Continuations to choose from, as they stand in the data, spaces included.
        answer: Index of the right choice; -1 where there are none.
    """

    id: str
    origin: str
    fields: dict[str, str]
    references: list[str] = field(default_factory=list)
    choices: list[str] = field(default_factory=list)
    answer: int = -1


class QuestionSource(ABC):
    """A named supply of questions."""

    @property
    @abstractmethod
    def name(self) -> str:
        """A short name for messages."""

    @abstractmethod
    def questions(self) -> Iterator[Question | BadSample]:
        """The questions in a fixed order; what cannot be used comes as a `BadSample`."""


class QuestionPath(QuestionSource):
    """Questions of a file, a folder or a glob.

    Args:
        path: Where they are.
    """

    def __init__(self, path: str):
        self.path = path

    @property
    @override
    def name(self) -> str:
        return "/".join(Path(self.path).parts[-2:])
