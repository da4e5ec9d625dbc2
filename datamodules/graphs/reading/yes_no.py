"""Yes or no, from a free text."""

import re
from typing import Literal

from datamodules.graphs.reading.text import is_denied, is_taken_back, statements
from datamodules.graphs.reading.verdict import AMBIGUOUS, Ambiguous

Answer = Literal["yes", "no"]
WORD = re.compile(r"\b(yes|no)\b", re.IGNORECASE)
DETERMINER = re.compile(
    r"\bno(?:\s+(?:more|further|other|direct|such|valid|possible|new|single|remaining|unvisited))*"
    r"\s+(?:paths?|edges?|ways?|routes?|cycles?|nodes?|one|connections?|links?|neighbou?rs?|"
    r"predecessors?|in-degree|longer|matter|doubt|need|issue|problem|weights?|loops?)\b",
    re.IGNORECASE,
)
"""`no` before a noun denies a thing; it does not answer."""
DOUBT = re.compile(
    r"(?:^|[.!?;\n])\s*(?:(?:or|and|but|maybe|perhaps),?\s)*(?:yes|no)\s*\?", re.IGNORECASE
)
"""An answer that is asked, a sentence of its own."""
CONDITION = re.compile(r"\b(?:whether|if)\b[^.,;:?!\n]*", re.IGNORECASE)
"""What only may be so is no statement."""


def yes_or_no(text: str, yes: re.Pattern[str], no: re.Pattern[str]) -> Answer | Ambiguous | None:
    """The answer that a text gives, by the words `yes` and `no` or by a statement.

    Every mention counts, wherever it stands: an answer that is taken back or denied is ambiguous.

    Args:
        text: The text.
        yes: Statements that mean yes, such as `there is a path`.
        no: Statements that mean no.

    Returns:
        The answer; `AMBIGUOUS` for two different ones; None for none.
    """
    whole = CONDITION.sub(" ", statements(text))
    mentions, rest = list[tuple[str, int, bool]](), whole
    for answer, pattern in (("no", no), ("yes", yes), ("", DETERMINER), ("word", WORD)):
        for match in pattern.finditer(rest) if answer else ():
            said = match[0].lower() if answer == "word" else answer
            mentions.append((said, match.end(), is_denied(rest[: match.start()])))
        rest = pattern.sub(lambda match: " " * len(match[0]), rest)
    if not mentions:
        return None
    last = max(end for _, end, _ in mentions)
    found = {said for said, _, _ in mentions}
    is_open = any(denied for *_, denied in mentions) or is_taken_back(whole[last:])
    if len(found) > 1 or is_open or DOUBT.search(text):
        return AMBIGUOUS
    return "yes" if "yes" in found else "no"
