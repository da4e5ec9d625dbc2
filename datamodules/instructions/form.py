"""How rows of files contain conversations."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator

from typing_extensions import override

from datamodules.instructions.chats import ANSWERS, Conversation, Message, turns, whole_text
from datamodules.records.document import BadSample, Document
from datamodules.records.errors import BadSampleError
from datamodules.records.faults import attempt
from datamodules.records.formats.columns import Record, cell
from datamodules.records.formats.open import Row
from datamodules.records.table import text
from datamodules.records.template import Template


class RowForm(ABC):
    """How rows contain conversations, of whatever kind.

    Args:
        system: A text that opens every conversation without a system turn of its own.
        part: The part of the rows to read.

    Raises:
        ValueError: `part` does not rise.
    """

    def __init__(self, system: str | None, part: tuple[float, float]):
        if not 0.0 <= part[0] < part[1] <= 1.0:
            raise ValueError(f"part must rise within [0, 1], got {part[0]} and {part[1]}.")
        self.system = system
        self.part = (part[0], part[1])

    @property
    @abstractmethod
    def columns(self) -> list[str]:
        """The columns that are read."""

    @property
    @abstractmethod
    def options(self) -> list[object]:
        """What determines the conversations of a row; ready for JSON."""

    @abstractmethod
    def conversation(self, record: Record, origin: str) -> Conversation:
        """The conversation of a row.

        Raises:
            BadSampleError: It cannot be used; the message says why.
        """

    def conversations(self, rows: Iterable[Row]) -> Iterator[Document | BadSample]:
        """The conversations of the part; unusable ones come as a `BadSample`."""
        for origin, record in rows:
            if isinstance(record, BadSample):
                yield record
                continue
            found = attempt(origin, self.conversation, record, origin)
            if isinstance(found, BadSample) or self._is_in_part(found):
                yield found

    def opened(self, messages: list[Message]) -> list[Message]:
        """A conversation with the system turn, where it has none of its own."""
        if self.system is None or messages[0]["role"] == "system":
            return messages
        return [{"role": "system", "content": self.system}, *messages]

    def _is_in_part(self, found: Conversation) -> bool:
        if self.part == (0.0, 1.0):
            return True
        first = next((one["content"] for one in found.messages if one["role"] == "user"), "")
        digest = hashlib.sha256(" ".join(str(first).split()).encode()).digest()
        return self.part[0] <= int.from_bytes(digest[:8], "big") / 2**64 < self.part[1]


class Form(RowForm):
    """Rows with a chat, or an instruction and its answer; arguments as of `InstructionFiles`.

    Raises:
        ValueError: Only one of `prompt` and `response` is given, or `part` does not rise.
    """

    def __init__(
        self,
        messages: str,
        prompt: str | None,
        response: str | None,
        system: str | None,
        part: tuple[float, float],
    ):
        if (prompt is None) != (response is None):
            raise ValueError(f"prompt={prompt} and response={response} go together.")
        super().__init__(system, part)
        self.messages = messages
        self.prompt = None if prompt is None else column_or_template(prompt)
        self.response = response
        self._options: list[object] = [messages, prompt, response, system, *self.part]

    @property
    @override
    def options(self) -> list[object]:
        return self._options

    @property
    @override
    def columns(self) -> list[str]:
        if self.prompt is None or self.response is None:
            return [self.messages]
        return [*self.prompt.columns, self.response]

    @override
    def conversation(self, record: Record, origin: str) -> Conversation:
        if self.prompt is None:
            messages = turns(cell(record, self.messages))
        else:
            assert self.response is not None
            said = text(cell(record, self.response), self.response)
            messages = turns([user_turn(self.prompt, record), {"role": ANSWERS, "content": said}])
        messages = self.opened(messages)
        return Conversation(whole_text(messages), origin, messages=messages)


def column_or_template(prompt: str) -> Template:
    """A template of a text with columns in braces, or of a column alone."""
    return Template("prompt", prompt if "{" in prompt else f"{{{prompt}}}")


def user_turn(prompt: Template, record: Record) -> Message:
    """The turn of a user that a template makes of a row.

    Raises:
        BadSampleError: It is empty, or a column holds no text.
    """
    content = prompt.fill(record).strip()
    if not content:
        raise BadSampleError("nothing is asked")
    return {"role": "user", "content": content}
