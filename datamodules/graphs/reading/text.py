"""Text made plain: no markup, one kind of arrow."""

import re

MARKUP = re.compile(r"\\boxed\s*\{([^{}]*)\}|\\text\s*\{([^{}]*)\}|[*`$]|\\[()\[\]]")
ARROW = re.compile(r"\s*(?:-+>|=+>|→|➔|➜|\\(?:right|Right|long)?[aA]?rrow|\\to)\s*")
QUESTION = re.compile(r"\b(?:is|are) there\b[^.?!\n]*\?", re.IGNORECASE)
"""A question that an answer repeats is no statement."""


def plain(text: str) -> str:
    """A text without the markup of Markdown and LaTeX, with `->` for every arrow."""
    text = MARKUP.sub(lambda match: match[1] or match[2] or "", text)
    text = text.replace("\\rightarrow", "->").replace("\u2019", "'").replace("\u2212", "-")
    return ARROW.sub(" -> ", text)
