"""NQ-Swap: questions whose document was changed to contradict what models have memorised.

Two formats are read: one object per question, with `document`, `question` and `answers`; or that
of context-aware decoding (Shi et al., 2024): two lines share an `input_index`, whose prompts stand
in `context_string`, with the document if `assigned_process` is 0 and without it if it is 1.
"""

from collections.abc import Iterator

from typing_extensions import override

from datamodules.questions.source import Question, QuestionPath
from datamodules.records.document import BadSample
from datamodules.records.errors import BadSampleError
from datamodules.records.faults import attempt
from datamodules.records.formats.columns import Record, cell
from datamodules.records.table import rows, text, texts

JSON = (".jsonl", ".ndjson", ".json")
"""Extensions of the files of a folder."""
Half = tuple[str, Record]
"""A line of a pair: its origin and the object."""


class NQSwap(QuestionPath):
    """Questions with the fields `prompt` (with the document), `question` and `context`.

    The document alone, `context`, is missing if the prompt without a document is not the end
    of the one with it, as in files with different wordings of both.

    Args:
        path: A file, a folder of `.jsonl` files or a glob.
    """

    @override
    def questions(self) -> Iterator[Question | BadSample]:
        waiting: dict[tuple[str, str], Half] = {}
        for place, record in rows(self.path, endings=JSON, otherwise="JSON"):
            if isinstance(record, BadSample):
                yield record
                continue
            found = attempt(place, _found, place, record, waiting)
            if found is not None:
                yield found
        for (_, index), (place, _) in waiting.items():
            yield BadSample(place, f"the only line with input_index {index}")


def _found(place: str, record: Record, waiting: dict[tuple[str, str], Half]) -> Question | None:
    """The question of one object, or of the second line of a pair; None for the first one."""
    if "assigned_process" not in record:
        return plain(place, record)
    key = place.rpartition(":")[0], str(cell(record, "input_index"))
    if key in waiting:
        return paired(waiting.pop(key), (place, record))
    waiting[key] = place, record
    return None


def plain(place: str, record: Record) -> Question:
    """The question of one object.

    Raises:
        BadSampleError: A key is missing or its value has another type.
    """
    context = text(cell(record, "document"), "document")
    question = text(cell(record, "question"), "question")
    if not question:
        raise BadSampleError("'question' is empty")
    prompt = f"{context} {question}" if context else question
    fields = {"context": context, "question": question, "prompt": prompt}
    return Question(place, place, fields, texts(cell(record, "answers"), "answers"))


def paired(one: Half, other: Half) -> Question:
    """The question of two lines, in either order.

    Raises:
        BadSampleError: They are not the two prompts of one question.
    """
    halves = {cell(record, "assigned_process"): (place, record) for place, record in (one, other)}
    if set(halves) != {0, 1}:
        raise BadSampleError(f"assigned_process is not 0 and 1 here and in {one[0]}")
    (place, first), (_, second) = halves[0], halves[1]
    prompt, question = (text(cell(r, "context_string"), "context_string") for r in (first, second))
    if not prompt or not question:
        raise BadSampleError(f"'context_string' is empty here or in {one[0]}")
    fields = {"question": question, "prompt": prompt}
    if prompt.endswith(question):
        fields["context"] = prompt.removesuffix(question).strip()
    return Question(place, place, fields, texts(cell(first, "gold_answers"), "gold_answers"))
