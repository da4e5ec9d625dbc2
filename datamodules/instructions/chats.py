"""Conversations, and the common formats of their turns."""

import json
from dataclasses import dataclass, field
from typing import Any

from datamodules.records.document import Document, unwritable
from datamodules.records.errors import BadSampleError

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


def whole_text(messages: list[Message]) -> str:
    """The text of all turns.

    Raises:
        BadSampleError: It cannot be tokenised.
    """
    whole = "\n".join(str(one["content"]) for one in messages)
    if reason := unwritable(whole):
        raise BadSampleError(reason)
    return whole
