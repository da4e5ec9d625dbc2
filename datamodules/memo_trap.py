"""MemoTrap: prompts whose right answer goes against a memorised phrase (Liu & Liu, 2023).

Each prompt is split into the part that asks against memory (`context`) and the part that memory
alone would go on with (`question`); context-aware decoding contrasts the whole with the latter.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from typing_extensions import override

from datamodules.documents import Reject
from datamodules.quarantine import UnusableError
from datamodules.question import Question, QuestionSource
from datamodules.question_files import right
from datamodules.question_rows import Record, cell, parquet_rows, text, texts

PROMPTS = (
    # proverb ending: the instruction | the beginning of the proverb
    re.compile(r'(Write a quote that ends in the word "[^"\n]*":) (.+)'),
    # proverb translation: instruction and foreign sentence | the beginning of the proverb
    re.compile(r"(Translate the following sentence from \w+ into English\.\n[^\n]*\nto:)\n(.+)"),
    # history of science: what was believed before an event | two statements, of which memory
    # holds one to be true
    re.compile(r"([^\n]+)\n(A\. [^\n]+\nB\. [^\n]+\nAnswer:)"),
)
"""What prompts of the subsets look like: context, a space or a line break, question."""
COLUMNS = ("prompt", "classes", "answer_index", "answer")


class MemoTrap(QuestionSource):
    """Questions with the fields `context`, `question` and, as it stands in the file, `prompt`.

    The two choices are continuations of the prompt and begin with a space; the reference is the
    right one without it.

    Args:
        path: A Parquet file with the columns prompt, classes, answer_index and answer, a folder of
            such files or a glob.
    """

    def __init__(self, path: str):
        self.path = path

    @property
    @override
    def name(self) -> str:
        return "/".join(Path(self.path).parts[-2:])

    @override
    def questions(self) -> Iterator[Question | Reject]:
        for place, record in parquet_rows(self.path, COLUMNS):
            try:
                yield record if isinstance(record, Reject) else _question(place, record)
            except UnusableError as error:
                yield Reject(place, str(error))


def split(prompt: str) -> tuple[str, str]:
    """Context and question of a prompt.

    Raises:
        UnusableError: It looks like none of the known subsets.
    """
    for pattern in PROMPTS:
        if found := pattern.fullmatch(prompt):
            return found[1], found[2]
    raise UnusableError(f"no prompt of MemoTrap: {prompt[:60]!r}")


def _question(place: str, record: Record) -> Question:
    prompt = text(record["prompt"], "prompt")
    context, question = split(prompt)
    choices = texts(record["classes"], "classes")
    answer = right(cell(record, "answer_index"), choices)
    if choices[answer] != record["answer"]:
        raise UnusableError(f"answer {record['answer']!r} is not choice {answer}")
    fields = {"context": context, "question": question, "prompt": prompt}
    return Question(place, place, fields, [choices[answer].strip()], choices, answer)
