"""Demonstrations for in-context alignment: questions with good answers, in memory or from a file.

A template such as "{instruction} {input}", whose braces name columns, makes a text of a row.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from typing_extensions import override

from datamodules.records.document import BadSample
from datamodules.records.errors import BadSampleError
from datamodules.records.faults import attempt
from datamodules.records.formats.columns import Record
from datamodules.records.formats.files import file_format
from datamodules.records.row_tally import RowTally
from datamodules.records.table import rows, short
from datamodules.records.template import Template


@dataclass(frozen=True)
class Demonstration:
    """A question and its answer.

    Attributes:
        prompt: What was asked.
        response: A good answer.
        origin: File and row, counted from 1, such as `pool.jsonl:17`.
    """

    prompt: str
    response: str
    origin: str = ""


class Demonstrations:
    """Demonstrations in memory.

    Args:
        demonstrations: The demonstrations.
        prompt: Template of a question that is asked; its fields are those of the question.
    """

    def __init__(self, demonstrations: Sequence[Demonstration], prompt: str = "{prompt}"):
        self._prompt = with_columns("prompt", prompt)
        self._given = list(demonstrations)

    @cached_property
    def demonstrations(self) -> list[Demonstration]:
        """All demonstrations, read when first needed."""
        return self._given

    def question(self, fields: Mapping[str, str]) -> str:
        """The text of a question, made by the template that makes the prompts.

        Raises:
            ValueError: The question lacks a field; names the template, the field and those it has.
        """
        try:
            return self._prompt.fill(dict(fields)).strip()
        except BadSampleError as error:
            raise ValueError(f"the prompt {self._prompt.pattern!r}: {error}") from error


class FileDemonstrations(Demonstrations):
    """Demonstrations of a file: Parquet, Arrow, CSV, TSV, JSON lines or arrays, compressed or not.

    Columns may be paths such as `data.text`. Bad rows are skipped, and a warning names them.

    Args:
        path: The file.
        prompt: Template of what is asked, such as "{instruction} {input}".
        response: Template of its answer.

    Raises:
        ValueError: The extension names no format, or a template names no column.
    """

    def __init__(self, path: str, prompt: str = "{prompt}", response: str = "{response}"):
        super().__init__([], prompt)
        self.path = path
        self._response = with_columns("response", response)
        if not file_format(Path(path)):
            raise ValueError(f"{path}: its ending names no known format; docs/data.md has a table.")

    @cached_property
    @override
    def demonstrations(self) -> list[Demonstration]:
        """The good rows.

        Raises:
            FileNotFoundError: There is no such file.
            ValueError: A column is missing, or no row is a demonstration.
        """
        return list(RowTally().sift(self._rows(), max_bad_rate=1.0, name=short(self.path)))

    def _rows(self) -> Iterator[Demonstration | BadSample]:
        for place, record in rows(self.path, [*self._prompt.columns, *self._response.columns]):
            if isinstance(record, BadSample):
                yield record
            else:
                yield attempt(place, self._demonstration, place, record)

    def _demonstration(self, place: str, record: Record) -> Demonstration:
        """The demonstration of a row.

        Raises:
            BadSampleError: A column is missing or holds no text, or a text is empty.
        """
        prompt, response = (one.fill(record).strip() for one in (self._prompt, self._response))
        for name, text in (("prompt", prompt), ("response", response)):
            if not text:
                raise BadSampleError(f"empty {name}")
        return Demonstration(prompt, response, place)


def with_columns(name: str, pattern: str) -> Template:
    """A template that names at least one column.

    Raises:
        ValueError: It names none, or is invalid.
    """
    template = Template(name, pattern)
    if not template.columns:
        raise ValueError(
            f"{name}={pattern!r} names no column; write it in braces: '{{{pattern}}}'."
        )
    return template
