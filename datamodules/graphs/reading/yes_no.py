"""Yes or no, from a free text."""

import re
from typing import Literal

from datamodules.graphs.reading.text import QUESTION, plain
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


def yes_or_no(text: str, yes: re.Pattern[str], no: re.Pattern[str]) -> Answer | Ambiguous | None:
    """The answer that a text gives, by the words `yes` and `no` or by a statement.

    Every mention counts, wherever it stands: an answer that is taken back is ambiguous.

    Args:
        text: The text.
        yes: Statements that mean yes, such as `there is a path`.
        no: Statements that mean no.

    Returns:
        The answer; `AMBIGUOUS` for two different ones; None for none.
    """
    told = QUESTION.sub(" ", plain(text))
    found = {"no" for _ in no.finditer(told)}
    rest = no.sub(" ", told)
    found |= {"yes" for _ in yes.finditer(rest)}
    rest = DETERMINER.sub(" ", yes.sub(" ", rest))
    found |= {match[0].lower() for match in WORD.finditer(rest)}
    if len(found) > 1:
        return AMBIGUOUS
    return "yes" if "yes" in found else "no" if found else None
