"""The pool of demonstrations: questions with good answers, from Parquet or JSONL.

A template such as "{instruction} {input}", whose braces name columns, makes a text of a row.
"""

import json
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from typing_extensions import override

FIELD = re.compile(r"\{([^{}]+)\}")
"""The name of a column, in braces."""
NUM_NAMED = 3
"""Bad rows that a message names; `FilePool.rejects` holds all of them."""


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


@dataclass(frozen=True)
class BadDemonstration:
    """A row that is not a demonstration.

    Attributes:
        origin: File and row, counted from 1.
        reason: What is wrong with it, in a few words.
    """

    origin: str
    reason: str


class Pool:
    """Demonstrations by index.

    Args:
        demonstrations: The demonstrations.
        prompt: Template of a question that is asked; its fields are those of the question.
    """

    def __init__(self, demonstrations: Sequence[Demonstration], prompt: str = "{prompt}"):
        self.prompt = prompt
        self._given = list(demonstrations)

    @cached_property
    def demonstrations(self) -> list[Demonstration]:
        """All demonstrations, read when first needed."""
        return self._given

    @property
    def prompts(self) -> list[str]:
        """The question of each demonstration."""
        return [one.prompt for one in self.demonstrations]

    def question(self, row: Mapping[str, str]) -> str:
        """The text of a question, made as the prompts of the pool are.

        Raises:
            ValueError: The question lacks a field of the template, or is empty.
        """
        text = filled(self.prompt, row)
        if not text:
            raise ValueError(f"the question is empty: {self.prompt!r} of {dict(row)!r:.80}.")
        return text

    def same(self, question: str) -> list[int]:
        """Indices of the demonstrations with this question; case and spaces do not count."""
        return self._by_prompt.get(plain(question), [])

    @cached_property
    def _by_prompt(self) -> dict[str, list[int]]:
        found: dict[str, list[int]] = {}
        for index, demonstration in enumerate(self.demonstrations):
            found.setdefault(plain(demonstration.prompt), []).append(index)
        return found


class FilePool(Pool):
    """Demonstrations of a file.

    Args:
        path: A `.parquet` or `.jsonl` file.
        prompt: Template of what is asked, such as "{instruction} {input}".
        response: Template of its answer.

    Raises:
        ValueError: The path has another suffix, or a template names no column.
    """

    def __init__(self, path: str, prompt: str = "{prompt}", response: str = "{response}"):
        super().__init__([], prompt)
        self.path = Path(path)
        self.response = response
        if self.path.suffix not in (".parquet", ".jsonl"):
            raise ValueError(f"{path} must end in .parquet or .jsonl.")
        for name, template in (("prompt", prompt), ("response", response)):
            if not FIELD.search(template):
                raise ValueError(
                    f"{name}={template!r} names no column; write it in braces: '{{{template}}}'."
                )

    @cached_property
    @override
    def demonstrations(self) -> list[Demonstration]:
        return [one for one in self._rows if isinstance(one, Demonstration)]

    @cached_property
    def rejects(self) -> list[BadDemonstration]:
        """The rows that are not demonstrations."""
        return [one for one in self._rows if isinstance(one, BadDemonstration)]

    @cached_property
    def _rows(self) -> list[Demonstration | BadDemonstration]:
        """All rows, each as a demonstration or as a reject.

        Raises:
            FileNotFoundError: There is no such file.
            ValueError: A column is missing, or no row is a demonstration.
        """
        if not self.path.is_file():
            raise FileNotFoundError(f"{self.path} does not exist.")
        is_parquet = self.path.suffix == ".parquet"
        raw = self._of_parquet() if is_parquet else self._of_lines()
        rows = [self._checked(row, f"{self.path.name}:{number}") for number, row in raw]
        self._report([one for one in rows if isinstance(one, BadDemonstration)], len(rows))
        return rows

    def _of_parquet(self) -> Iterator[tuple[int, object]]:
        import pyarrow.parquet as pq

        columns = list(dict.fromkeys(FIELD.findall(self.prompt + self.response)))
        names = pq.read_schema(self.path).names
        for column in columns:
            if column not in names:
                raise ValueError(f"{self.path} has no column {column!r}, only {', '.join(names)}.")
        yield from enumerate(pq.read_table(self.path, columns=columns).to_pylist(), start=1)

    def _of_lines(self) -> Iterator[tuple[int, object]]:
        with self.path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    yield number, parsed(line)

    def _checked(self, row: object, origin: str) -> Demonstration | BadDemonstration:
        if not isinstance(row, dict):
            return BadDemonstration(origin, "no object in JSON")
        try:
            prompt, response = filled(self.prompt, row), filled(self.response, row)
        except ValueError as error:
            return BadDemonstration(origin, str(error))
        for name, text in (("prompt", prompt), ("response", response)):
            if not text:
                return BadDemonstration(origin, f"empty {name}")
        return Demonstration(prompt, response, origin)

    def _report(self, rejects: Sequence[BadDemonstration], num_rows: int) -> None:
        """Warn of bad rows; raise if there are no others."""
        named = "; ".join(f"{one.origin}: {one.reason}" for one in rejects[:NUM_NAMED])
        more = "; ..." if len(rejects) > NUM_NAMED else ""
        count = f"{len(rejects)} of {num_rows} rows of {self.path} are not demonstrations"
        if len(rejects) == num_rows:
            raise ValueError(f"{count}{': ' if rejects else '.'}{named}{more}")
        if rejects:
            warnings.warn(f"{count} and are skipped: {named}{more}", stacklevel=2)


def filled(template: str, row: Mapping[str, object]) -> str:
    """A template with its fields replaced by the texts of the row, stripped.

    Nulls are empty texts. Braces within a text are not replaced again.

    Raises:
        ValueError: The row lacks a field, or the field is not a text.
    """

    def text(found: re.Match[str]) -> str:
        name = found[1]
        if name not in row:
            raise ValueError(f"no key {name!r}, only {', '.join(map(repr, row)) or 'nothing'}")
        value = row[name]
        if not isinstance(value, str | None):
            raise ValueError(f"{name!r} is not a text but {type(value).__name__}")
        return value or ""

    return FIELD.sub(text, template).strip()


def plain(text: str) -> str:
    """The normalised text by which equal questions are found: lower case, single spaces."""
    return " ".join(text.casefold().split())


def parsed(line: bytes) -> object:
    """The value of a line of JSON; None if it is broken."""
    try:
        return json.loads(line.decode())
    except (ValueError, RecursionError):
        return None
