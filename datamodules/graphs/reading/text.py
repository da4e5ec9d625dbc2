"""Text made plain: no markup, one kind of arrow, no questions; and what takes an answer back."""

import re

from datamodules.graphs.reading.verdict import AMBIGUOUS, Ambiguous

BOX = "\u25a1"
"""Stands before what was boxed in LaTeX."""
BOXED = re.compile(r"\\boxed\s*\{([^{}]*)\}")
TEXT = re.compile(r"\\(?:text|textbf|mathbf|mathrm|mathit|operatorname)\s*\{([^{}]*)\}")
STAR = re.compile(r"(?<=\w)\*+(?=\w)|(?<= )\*+(?= )")
"""A sign of multiplication, no markup."""
TIMES = "\u00d7"
"""Stands for it."""
MARKUP = re.compile(r"[*`$]|\\[()\[\]]|(?<![^\W_])_+|_+(?![^\W_])")
"""Signs of Markdown and LaTeX; an underscore within a word stays."""
ARROW = re.compile(
    r" ?(?:(?<![-=])(?:-+|=+)>|[→⇒➔➜➙➝➞⟶⟹➡]\ufe0f?|\\(?:[Ll]ong)?[Rr]ightarrow|\\to)(?![a-z]) ?"
)
BLANK = re.compile(r"\s+")
SPACES = re.compile(" {2,}")
SENTENCE = re.compile(r"(?<=[?!\n])|(?<=\.)(?!\w)")
"""Where one ends."""
RETRACTION = re.compile(
    r"\b(?:wait|actually|sorry|correction|oops|scratch that|on second thoughts?|i mean|maybe|"
    r"perhaps|another (?:one|1|answer|path|order|solution|option)|take (?:it|that) back|mistaken?|"
    r"wrong|incorrect|or not|don't know|"
    r"(?:not|never|cannot|\w+n't) (?:be )?(?:right|correct|true|sure|certain))\b",
    re.IGNORECASE,
)
"""Takes back what was said before, or doubts it."""
NOT = (
    r"\b(?:not|(?:is|are|was|does|do|ca|would|could)n't|never|cannot|neither|nor|"
    r"anything but|other than|false|untrue)"
)
DENIED = re.compile(
    rf"{NOT}\s+(?:(?:true|so|right|correct|the case)?\s*\bthat\b[^.!?\n]*|"
    r"(?:(?:an?|the|one|possible|valid|shortest|final|maximum)\s+)*)\Z",
    re.IGNORECASE,
)
"""Stands before a statement that it denies."""
REACH = 80
"""Characters before a statement in which a denial may begin."""


def plain(text: str) -> str:
    """A text without markup, with `->` for every arrow, single spaces and no empty lines."""
    text = BLANK.sub(lambda match: "\n" if "\n" in match[0] else " ", text)
    text = text.replace("\u2019", "'").replace("\u2212", "-").replace("\u2014", " - ")
    for _ in range(3):  # boxes may hold texts, and texts boxes
        text = BOXED.sub(rf"{BOX}\1 ", TEXT.sub(r"\1", text))
    return SPACES.sub(" ", MARKUP.sub("", STAR.sub(TIMES, ARROW.sub(" -> ", text))))


def statements(text: str) -> str:
    """A plain text without questions: one that an answer repeats is no statement."""
    return "".join(one for one in SENTENCE.split(plain(text)) if not one.endswith("?"))


def is_denied(before: str) -> bool:
    """Whether the words before a statement deny it."""
    return DENIED.search(before[-REACH:]) is not None


def is_taken_back(behind: str) -> bool:
    """Whether what follows an answer takes it back."""
    return RETRACTION.search(behind) is not None


def says(text: str, pattern: re.Pattern[str]) -> bool | Ambiguous:
    """Whether a text makes a statement, such as that there is no path.

    Returns:
        `AMBIGUOUS` if it is denied or taken back.
    """
    said = statements(text)
    found = [*pattern.finditer(said)]
    if any(is_denied(said[: match.start()]) for match in found):
        return AMBIGUOUS
    return AMBIGUOUS if found and is_taken_back(said[found[-1].end() :]) else bool(found)
