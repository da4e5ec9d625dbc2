"""Conversations from files of chats, or of instructions and answers."""

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from typing_extensions import override

from datamodules.records.document import BadSample, Document, unwritable
from datamodules.records.errors import BadSampleError
from datamodules.records.faults import attempt
from datamodules.records.formats.columns import Record, Wanted, cell
from datamodules.records.formats.files import FORMATS
from datamodules.records.formats.open import Row, read_rows
from datamodules.records.table import text
from datamodules.records.template import Template
from datamodules.text.files import HubText
from datamodules.text.source import FileText

Message = dict[str, Any]
"""`role` and `content`, and other keys that a chat template reads."""
ANSWERS = "assistant"
"""The role whose turns are targets."""
ROLES = {"human": "user", "gpt": ANSWERS, "bot": ANSWERS, "model": ANSWERS}
"""Other names of roles -> the names used here."""
KEYS = (("role", "content"), ("from", "value"))
"""Keys of role and content in the two common formats."""


@dataclass(frozen=True)
class Conversation(Document):
    """Turns of a chat, the last of them an answer; its text is that of all turns.

    Attributes:
        messages: The turns.
    """

    messages: list[Message] = field(default_factory=list)


class Form:
    """How rows contain conversations; arguments as of `InstructionFiles`.

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
        if not 0.0 <= part[0] < part[1] <= 1.0:
            raise ValueError(f"part must rise within [0, 1], got {part[0]} and {part[1]}.")
        self.messages = messages
        self.prompt = None if prompt is None else _template(prompt)
        self.response = response
        self.system = system
        self.part = (part[0], part[1])
        self.options: list[object] = [messages, prompt, response, system, *self.part]

    @property
    def columns(self) -> list[str]:
        """The columns that are read."""
        if self.prompt is None or self.response is None:
            return [self.messages]
        return [*self.prompt.columns, self.response]

    def conversations(self, rows: Iterable[Row]) -> Iterator[Document | BadSample]:
        """The conversations of the part; unusable ones come as a `BadSample`."""
        for origin, record in rows:
            if isinstance(record, BadSample):
                yield record
                continue
            found = attempt(origin, self._conversation, record, origin)
            if isinstance(found, BadSample) or self._is_in_part(found):
                yield found

    def _conversation(self, record: Record, origin: str) -> Conversation:
        if self.prompt is None:
            messages = turns(cell(record, self.messages))
        else:
            assert self.response is not None
            asked = {"role": "user", "content": self.prompt.fill(record).strip()}
            if not asked["content"]:
                raise BadSampleError("nothing is asked")
            said = text(cell(record, self.response), self.response)
            messages = turns([asked, {"role": ANSWERS, "content": said}])
        if self.system is not None and messages[0]["role"] != "system":
            messages = [{"role": "system", "content": self.system}, *messages]
        whole = "\n".join(str(one["content"]) for one in messages)
        if reason := unwritable(whole):
            raise BadSampleError(reason)
        return Conversation(whole, origin, messages=messages)

    def _is_in_part(self, found: Conversation) -> bool:
        if self.part == (0.0, 1.0):
            return True
        first = next((one["content"] for one in found.messages if one["role"] == "user"), "")
        digest = hashlib.sha256(" ".join(str(first).split()).encode()).digest()
        return self.part[0] <= int.from_bytes(digest[:8], "big") / 2**64 < self.part[1]


class InstructionFiles(FileText):
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


class InstructionHub(HubText):
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


def turns(value: object) -> list[Message]:
    """The turns of a chat up to its last answer.

    Args:
        value: A list of objects, or JSON of one.

    Raises:
        BadSampleError: It is not a chat, a turn has no readable text, or there is no answer.
    """
    if isinstance(value, str):
        value = json.loads(value)
    if not isinstance(value, list):
        raise BadSampleError(f"not a list of turns but {type(value).__name__}")
    found = [turn(one, number) for number, one in enumerate(value, start=1)]
    answers = [
        n for n, one in enumerate(found) if one["role"] == ANSWERS and one["content"].strip()
    ]
    if not answers:
        raise BadSampleError("no answer")
    return found[: answers[-1] + 1]


def turn(value: object, number: int) -> Message:
    """A turn with `role` and `content`; text parts of the content are joined.

    Args:
        value: The entry of the list.
        number: Its index from 1, for messages.

    Raises:
        BadSampleError: It is not a turn.
    """
    if not isinstance(value, dict):
        raise BadSampleError(f"turn {number} is not an object but {type(value).__name__}")
    for role, content in KEYS:
        if value.get(role) is not None:
            speaker = str(value[role])
            rest = {k: v for k, v in value.items() if k not in (role, content) and v is not None}
            said = plain_content(value.get(content), number)
            return {"role": ROLES.get(speaker, speaker), "content": said} | rest
    raise BadSampleError(f"turn {number} has no role among {', '.join(map(str, value))}")


def plain_content(content: object, number: int) -> str:
    """The content of a turn as one text; empty if it only calls tools.

    Raises:
        BadSampleError: It has a part other than text.
    """
    if content is None or isinstance(content, str):
        return content or ""
    if isinstance(content, list):
        parts = [one.get("text") if isinstance(one, dict) else one for one in content]
        texts = [part for part in parts if isinstance(part, str)]
        if len(texts) == len(parts):
            return "".join(texts)
    raise BadSampleError(f"turn {number} says no text but {type(content).__name__}")


def _template(prompt: str) -> Template:
    return Template("prompt", prompt if "{" in prompt else f"{{{prompt}}}")
