"""MemoTrap: prompts whose right answer goes against a memorised phrase (Liu & Liu, 2023).

Each prompt is split into the instruction that contradicts memory (`context`) and the prefix that
memory alone would continue (`question`); context-aware decoding contrasts the whole with it.
"""

import re
from dataclasses import replace

from typing_extensions import override

from datamodules.questions.files import ParquetQuestions
from datamodules.questions.source import Question
from datamodules.records.errors import BadSampleError
from datamodules.records.formats.columns import Record

PROMPTS = (
    # proverb ending: the instruction | the prefix of the proverb
    re.compile(r'(Write a quote that ends in the word "[^"\n]*":) (.+)'),
    # proverb translation: instruction and foreign sentence | the prefix of the proverb
    re.compile(r"(Translate the following sentence from \w+ into English\.\n[^\n]*\nto:)\n(.+)"),
    # history of science: what was believed before an event | two statements, of which memory
    # holds one to be true
    re.compile(r"([^\n]+)\n(A\. [^\n]+\nB\. [^\n]+\nAnswer:)"),
)
"""Patterns of the prompts of each subset: context, a space or a line break, question."""
COLUMNS = ("prompt", "classes", "answer_index", "answer")


class MemoTrap(ParquetQuestions):
    """Questions with the fields `context`, `question` and, unchanged, `prompt`.

    The two choices are continuations of the prompt and start with a space; the reference is the
    right one without it.

    Args:
        path: A Parquet file with the columns prompt, classes, answer_index and answer, a folder of
            such files or a glob.
    """

    def __init__(self, path: str):
        super().__init__(
            path, fields={"prompt": "prompt"}, choices="classes", answer="answer_index"
        )

    @override
    def columns(self) -> list[str]:
        return [*COLUMNS]

    @override
    def question(self, place: str, record: Record) -> Question:
        found = super().question(place, record)
        right = found.choices[found.answer]
        if right != record["answer"]:
            raise BadSampleError(f"answer {record['answer']!r} is not choice {found.answer}")
        context, question = split(found.fields["prompt"])
        fields = {"context": context, "question": question, **found.fields}
        return replace(found, fields=fields, references=[right.strip()])


def split(prompt: str) -> tuple[str, str]:
    """Context and question of a prompt.

    Raises:
        BadSampleError: It matches none of the known subsets.
    """
    for pattern in PROMPTS:
        if found := pattern.fullmatch(prompt):
            return found[1], found[2]
    raise BadSampleError(f"no prompt of MemoTrap: {prompt[:60]!r}")
