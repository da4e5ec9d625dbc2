"""Questions from files of any supported format; the config names their columns."""

from collections.abc import Iterator
from typing import ClassVar

from typing_extensions import override

from datamodules.questions.source import Question, QuestionPath
from datamodules.records.document import BadSample
from datamodules.records.errors import BadSampleError
from datamodules.records.faults import attempt
from datamodules.records.formats.columns import Record, cell
from datamodules.records.formats.files import FORMATS
from datamodules.records.formats.open import Row
from datamodules.records.table import rows, text, texts
from datamodules.records.template import Template

ID = "id"
"""Default column of the ids of questions."""


class FileQuestions(QuestionPath):
    """One question per row of Parquet, Arrow, CSV, TSV, JSON lines or arrays, compressed or not.

    Columns may be paths such as `answers.text` and `choices.0`.

    Args:
        path: A file, a folder (every file below it with a matching extension) or a glob.
        fields: Field of the questions -> column; None takes every text column without another role,
            under its own name.
        templates: Field -> text with columns in braces, such as `Article: {article}`; without
            braces it is the same for all questions.
        references: The column of acceptable answers, a text or a list of texts.
        choices: The column of the continuations to choose from, a list of texts.
        answer: The column of the right choice: its index from 0, or its text.
        id: The column of the ids of questions; None takes a column `id` if there is one, else
            file and line.
        where: Required value by column, such as `set: xsum`.

    Raises:
        ValueError: A template is invalid, there is no field, one is called `id`, or choices come
            without an answer.
    """

    endings: ClassVar[tuple[str, ...]] = tuple(FORMATS)
    otherwise: ClassVar[str] = ""

    def __init__(
        self,
        path: str,
        fields: dict[str, str] | None = None,
        templates: dict[str, str] | None = None,
        references: str | None = None,
        choices: str | None = None,
        answer: str | None = None,
        id: str | None = None,
        where: dict[str, str] | None = None,
    ):
        if (choices is None) != (answer is None):
            raise ValueError(f"choices={choices} and answer={answer} go together.")
        if fields == {} and not templates:
            raise ValueError(f"{path}: a question needs a field or a template.")
        if ID in (fields or {}) or ID in (templates or {}):
            raise ValueError(f"{path}: no field may be called {ID!r}; it names the question.")
        super().__init__(path)
        self.fields = fields
        self.templates = {n: Template(n, pattern) for n, pattern in (templates or {}).items()}
        self.references = references
        self.choices = choices
        self.answer = answer
        self.id = id
        self.where = where or {}

    @property
    @override
    def name(self) -> str:
        conditions = [f"{column}={value}" for column, value in self.where.items()]
        return ":".join([super().name, *conditions])

    @override
    def questions(self) -> Iterator[Question | BadSample]:
        for place, record in self.rows():
            if isinstance(record, BadSample):
                yield record
                continue
            found = attempt(place, self._found, place, record)
            if found is not None:
                yield found

    def _found(self, place: str, record: Record) -> Question | None:
        """The question of a row, None if the row does not fulfil the conditions."""
        return self.question(place, record) if self.fits(record) else None

    def rows(self) -> Iterator[Row]:
        """The rows of all files, in order."""
        return rows(self.path, self.columns(), [ID], self.endings, self.otherwise)

    def fits(self, record: Record) -> bool:
        """Whether a row fulfils the conditions.

        Raises:
            BadSampleError: It lacks one of their columns.
        """
        return all(str(cell(record, column)) == value for column, value in self.where.items())

    def question(self, place: str, record: Record) -> Question:
        """The question of a row.

        Raises:
            BadSampleError: It cannot be used; the message says why.
        """
        found = self._fields(record)
        if not any(found.values()):
            raise BadSampleError(f"nothing in {', '.join(found)}" if found else "no text")
        references = [] if self.references is None else self._texts(record, self.references)
        choices = [] if self.choices is None else self._texts(record, self.choices)
        answer = -1 if self.answer is None else right(cell(record, self.answer), choices)
        return Question(self._id(place, record), place, found, references, choices, answer)

    def columns(self) -> list[str] | None:
        """The columns to read; None for all."""
        if self.fields is None:
            return None
        filled = [column for template in self.templates.values() for column in template.columns]
        return [*self.fields.values(), *filled, *self._others()]

    def _id(self, place: str, record: Record) -> str:
        if self.id is None and ID not in record:
            return place
        column = self.id or ID
        if id := text(cell(record, column), column):
            return id
        raise BadSampleError(f"{column!r} is empty")

    def _others(self) -> list[str]:
        """Columns that are not fields of the question."""
        named = [self.references, self.choices, self.answer, self.id, *self.where]
        return [column for column in named if column is not None]

    def _fields(self, record: Record) -> dict[str, str]:
        fields = self._every_text(record) if self.fields is None else self.fields
        plain = {name: text(cell(record, column), column) for name, column in fields.items()}
        return plain | {name: template.fill(record) for name, template in self.templates.items()}

    def _every_text(self, record: Record) -> dict[str, str]:
        others = self._others()
        free = [column for column in record if column not in (ID, *others)]
        return {c: c for c in free if record[c] is None or isinstance(record[c], str)}

    def _texts(self, record: Record, column: str) -> list[str]:
        return texts(cell(record, column), column)


class JsonlQuestions(FileQuestions):
    """As `FileQuestions`; of a folder only JSON files; unknown extensions are JSON lines."""

    endings = (".jsonl", ".ndjson", ".json")
    otherwise = "JSON"


class ParquetQuestions(FileQuestions):
    """As `FileQuestions`; of a folder only Parquet files; unknown extensions are Parquet."""

    endings = (".parquet", ".pq")
    otherwise = "Parquet"


def right(value: object, choices: list[str]) -> int:
    """Index of the right choice; the cell has that index, as number or text, or the choice itself.

    Raises:
        BadSampleError: It is neither.
    """
    if isinstance(value, str) and choices.count(value) == 1:
        return choices.index(value)
    if isinstance(value, str) and value.isdecimal():  # tables of texts write numbers as text
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < len(choices):
        return value
    raise BadSampleError(f"the answer {value!r} is none of {len(choices)} choices")
