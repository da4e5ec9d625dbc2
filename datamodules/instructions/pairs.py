"""Pairs of a preferred and a rejected answer to one prompt, from files or datasets."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from typing_extensions import override

from datamodules.instructions.chats import ANSWERS, Conversation, Message, turn, turns, whole_text
from datamodules.instructions.form import RowForm, column_or_template, user_turn
from datamodules.instructions.tokenizer import ChatTokenizer
from datamodules.records.document import BadSample, Document
from datamodules.records.errors import BadSampleError
from datamodules.records.faults import attempt
from datamodules.records.formats.columns import Record, Wanted, cell
from datamodules.records.formats.files import FORMATS
from datamodules.records.formats.open import read_rows
from datamodules.records.table import text
from datamodules.text.files import HubText
from datamodules.text.source import FileText
from datamodules.text.token_file import Encoded


@dataclass(frozen=True)
class PreferencePair(Conversation):
    """A conversation that ends in the preferred answer, and the same with the other one.

    Attributes:
        rejected: The turns with the rejected answer.
    """

    rejected: list[Message] = field(default_factory=list)


class PairForm(RowForm):
    """How rows contain pairs; arguments as of `PreferenceFiles`."""

    def __init__(
        self,
        prompt: str | None,
        chosen: str,
        rejected: str,
        system: str | None,
        part: tuple[float, float],
    ):
        super().__init__(system, part)
        self.prompt = prompt
        self.template = None if prompt is None else column_or_template(prompt)
        self.chosen = chosen
        self.rejected = rejected

    @property
    @override
    def options(self) -> list[object]:
        return [self.prompt, self.chosen, self.rejected, self.system, *self.part]

    @property
    @override
    def columns(self) -> list[str]:
        return [*(self.template.columns if self.template else []), self.chosen, self.rejected]

    @override
    def conversation(self, record: Record, origin: str) -> PreferencePair:
        before = self._before(record)
        chosen, rejected = (
            self.opened(answered(before, cell(record, column), column))
            for column in (self.chosen, self.rejected)
        )
        if said(chosen[:-1]) != said(rejected[:-1]):
            raise BadSampleError("the turns before the two answers differ")
        if said(chosen) == said(rejected):
            raise BadSampleError(SAME)
        told = whole_text([*chosen, rejected[-1]])
        return PreferencePair(told, origin, messages=chosen, rejected=rejected)

    def _before(self, record: Record) -> list[Message]:
        """The turns of the prompt; none where the answers bring them."""
        if self.template is None:
            return []
        value = cell(record, self.template.columns[0]) if self.prompt in self.columns else None
        if isinstance(value, list):
            return [turn(one, number) for number, one in enumerate(value, start=1)]
        return [user_turn(self.template, record)]


SAME = "the chosen and the rejected answer are the same"


def said(messages: list[Message]) -> list[tuple[str, str]]:
    """Who says what; blanks around it, which templates strip, do not count."""
    return [(str(one["role"]), str(one["content"]).strip()) for one in messages]


def answered(before: list[Message], value: Any, column: str) -> list[Message]:
    """The turns of a prompt and what a column says after them: a text, or turns.

    Raises:
        BadSampleError: It does not end in an answer with a text.
    """
    if before and not isinstance(value, list):
        value = [{"role": ANSWERS, "content": text(value, column)}]
    elif isinstance(value, str):
        value = json.loads(value)
    if not isinstance(value, list):
        raise BadSampleError(f"{column!r} holds no turns but {type(value).__name__}")
    whole = [*before, *value]
    found = turns(whole)
    if len(found) < len(whole):
        raise BadSampleError(f"{column!r} ends in no answer")
    return found


class PreferenceFiles(FileText):
    """One pair per row of files in any format that `TextFiles` reads.

    The answers are texts, or lists of turns with `role` and `content`. As such they may hold the
    whole conversation, as in TRL's datasets and UltraFeedback; or the prompt is a column, too.

    Args:
        path: A file, a folder (every such file below it) or a glob.
        prompt: The question: a column of texts or of lists of turns, or a text with columns in
            braces; None where the answers hold whole conversations.
        chosen: The column of the preferred answer.
        rejected: The column of the other one.
        system: A text that opens every conversation without a system turn of its own.
        part: The part of the rows to read, as of `InstructionFiles`.
        weight: Share of the pairs of an epoch, relative to the other sources; above 0.

    Raises:
        ValueError: `part` does not rise.
    """

    endings = tuple(FORMATS)

    def __init__(
        self,
        path: str,
        prompt: str | None = None,
        chosen: str = "chosen",
        rejected: str = "rejected",
        system: str | None = None,
        part: tuple[float, float] = (0.0, 1.0),
        weight: float = 1.0,
    ):
        super().__init__(path, weight)
        self.form = PairForm(prompt, chosen, rejected, system, part)

    @override
    def options(self) -> list[object]:
        return [*self.form.options]

    @override
    def documents(self) -> Iterator[Document | BadSample]:
        wanted = Wanted(self.form.columns, self.form.columns)
        return self.form.conversations(read_rows(self.files(), wanted))


class PreferenceHub(HubText):
    """One pair per row of a dataset of the Hugging Face hub, or of a local copy.

    Args:
        name: Name on the hub, or a folder that `datasets` can read or wrote by `save_to_disk`.
        config: Name of the configuration, where there are several.
        split: The split to read, such as `train_prefs`.
        prompt: The question; this and the following as of `PreferenceFiles`.
        chosen: The column of the preferred answer.
        rejected: The column of the other one.
        system: A text that opens every conversation without a system turn of its own.
        part: The part of the rows to read.
        revision: Commit or tag; without it a change on the hub is not noticed once text is cached.
        weight: Share of the pairs of an epoch, relative to the other sources; above 0.

    Raises:
        ValueError: `part` does not rise.
    """

    def __init__(
        self,
        name: str,
        config: str | None = None,
        split: str = "train",
        prompt: str | None = None,
        chosen: str = "chosen",
        rejected: str = "rejected",
        system: str | None = None,
        part: tuple[float, float] = (0.0, 1.0),
        revision: str | None = None,
        weight: float = 1.0,
    ):
        super().__init__(name, config, split, chosen, revision, weight)
        self.form = PairForm(prompt, chosen, rejected, system, part)

    @override
    def fingerprint(self) -> str:
        return json.dumps([super().fingerprint(), self.form.options])

    @override
    def documents(self) -> Iterator[Document | BadSample]:
        return self.form.conversations(self.rows(self.form.columns))


@dataclass(frozen=True)
class PairTokenizer(ChatTokenizer):
    """Writes each pair as two documents, the chosen conversation and the rejected one.

    A bad pair counts as two documents as well, so that shares are those of pairs.
    """

    @override
    def encode_documents(
        self, documents: Iterable[Document | BadSample]
    ) -> Iterator[Encoded | BadSample]:
        for one in documents:
            found = one if isinstance(one, BadSample) else attempt(one.origin, self._both, one)
            if isinstance(found, BadSample):
                yield from [found] * (2 if type(found) is BadSample else 1)  # no row, or a file
            else:
                yield from found

    def _both(self, document: Document) -> tuple[Encoded, Encoded]:
        if not isinstance(document, PreferencePair):
            raise BadSampleError("no pair of answers")
        rejected = Conversation(document.text, document.origin, messages=document.rejected)
        first, second = self._encoded(document), self._encoded(rejected)
        if first.ids == second.ids:
            raise BadSampleError(SAME)
        return first, second
