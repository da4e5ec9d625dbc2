"""Questions, the tasks of decoding methods, and the interface of their sources."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from typing_extensions import override

from datamodules.records.document import BadSample
from datamodules.records.remote.address import short_name
from datamodules.records.row_tally import RowTally


@dataclass(frozen=True)
class Question:
    """One task: the texts of its prompt and what is known about the right answer.

    Attributes:
        id: Unique and stable name.
        origin: File and line or row, counted from 1.
        fields: Texts by name, such as `context` and `question`; a text may be empty.
        references: Acceptable answers.
        choices: Continuations to choose from, verbatim, spaces included.
        answer: Index of the right choice; -1 without choices.
    """

    id: str
    origin: str
    fields: dict[str, str]
    references: list[str] = field(default_factory=list)
    choices: list[str] = field(default_factory=list)
    answer: int = -1


class QuestionSource(ABC):
    """A named source of questions."""

    @property
    @abstractmethod
    def name(self) -> str:
        """A short name for messages."""

    @abstractmethod
    def questions(self) -> Iterator[Question | BadSample]:
        """The questions in a fixed order; unusable ones come as a `BadSample`."""


def sound_questions(sources: Iterable[QuestionSource], max_bad_rate: float) -> list[Question]:
    """The good questions of sources, one source after another; bad ones are counted and listed.

    Raises:
        ValueError: More than that share of the questions of a source is bad.
    """
    return [
        question
        for source in sources
        for question in RowTally().sift(source.questions(), max_bad_rate, source.name)
    ]


class QuestionPath(QuestionSource):
    """Questions from a file, a folder or a glob.

    Args:
        path: The file, folder or glob.
    """

    def __init__(self, path: str):
        self.path = path

    @property
    @override
    def name(self) -> str:
        return short_name(self.path)
