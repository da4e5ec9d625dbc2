"""Sources of conversations: files or datasets of chats, or of instructions and answers."""

import json
from collections.abc import Iterator

from typing_extensions import override

from datamodules.instructions.form import Form
from datamodules.records.document import BadSample, Document
from datamodules.records.formats.columns import Wanted
from datamodules.records.formats.files import FORMATS
from datamodules.records.formats.open import read_rows
from datamodules.text.files import HubText
from datamodules.text.source import FileText, TextSource


class ConversationSource(TextSource):
    """A source whose documents are conversations."""


class InstructionFiles(FileText, ConversationSource):
    """One conversation per row of files in any format that `TextFiles` reads.

    Either a column has a chat, a list of turns with `role` and `content` (or `from` and `value`);
    or columns have an instruction and its answer.

    Args:
        path: A file, a folder (every such file below it) or a glob.
        messages: The column of chats; used if `response` is not given.
        prompt: The question: a column, or a text with columns in braces, such as an instruction
            and an input in two lines; blanks that an empty column leaves at the ends are stripped.
        response: The column of the answer; needs `prompt`.
        system: A text that opens every conversation without a system turn of its own.
        part: The part of the rows to read, as two numbers in [0, 1]: each row has a number
            from a hash of its first question, so that (0, 0.9) and (0.9, 1) share no question.
        weight: Share of the rows of an epoch, relative to the other sources; above 0.

    Raises:
        ValueError: Only one of `prompt` and `response` is given, or `part` does not rise.
    """

    endings = tuple(FORMATS)

    def __init__(
        self,
        path: str,
        messages: str = "messages",
        prompt: str | None = None,
        response: str | None = None,
        system: str | None = None,
        part: tuple[float, float] = (0.0, 1.0),
        weight: float = 1.0,
    ):
        super().__init__(path, weight)
        self.form = Form(messages, prompt, response, system, part)

    @override
    def options(self) -> list[object]:
        return [*self.form.options]

    @override
    def documents(self) -> Iterator[Document | BadSample]:
        wanted = Wanted(self.form.columns, self.form.columns)
        return self.form.conversations(read_rows(self.files(), wanted))


class InstructionHub(HubText, ConversationSource):
    """One conversation per row of a dataset of the Hugging Face hub, or of a local copy.

    Args:
        name: Name on the hub, or a folder that `datasets` can read or wrote by `save_to_disk`.
        config: Name of the configuration, where there are several.
        split: The split to read, such as `train` or `train[:10%]`.
        messages: The column of chats; this and the following as of `InstructionFiles`.
        prompt: The question.
        response: The column of the answer.
        system: A text that opens every conversation without a system turn of its own.
        part: The part of the rows to read.
        revision: Commit or tag; without it a change on the hub is not noticed once text is cached.
        weight: Share of the rows of an epoch, relative to the other sources; above 0.

    Raises:
        ValueError: Only one of `prompt` and `response` is given, or `part` does not rise.
    """

    def __init__(
        self,
        name: str,
        config: str | None = None,
        split: str = "train",
        messages: str = "messages",
        prompt: str | None = None,
        response: str | None = None,
        system: str | None = None,
        part: tuple[float, float] = (0.0, 1.0),
        revision: str | None = None,
        weight: float = 1.0,
    ):
        super().__init__(name, config, split, messages, revision, weight)
        self.form = Form(messages, prompt, response, system, part)

    @override
    def fingerprint(self) -> str:
        return json.dumps([super().fingerprint(), self.form.options])

    @override
    def documents(self) -> Iterator[Document | BadSample]:
        return self.form.conversations(self.rows(self.form.columns))
