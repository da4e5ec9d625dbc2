"""The ends of a path that a text names, as in `the path from node 3 to node 5`."""

import re

CALLED = r"(?:[Nn]odes? )?"
"""May stand before the name of a node."""
ENDS = re.compile(
    rf"(?<! is)(?<! is ) ?\b(?:[Ff]rom|[Bb]etween) {CALLED}\w+ (?:to|and) {CALLED}\w+"
    r"(?! (?:to|->)|\.\d)"
)


def without_ends(text: str) -> str:
    """A plain text that doesn't name ends: they are neither the path nor its length."""
    return ENDS.sub("", text)
