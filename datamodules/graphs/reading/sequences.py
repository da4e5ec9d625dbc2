"""A sequence of nodes, from a free text."""

import re
from collections.abc import Sequence

from datamodules.graphs.reading.text import plain
from datamodules.graphs.reading.verdict import AMBIGUOUS, Ambiguous
from datamodules.graphs.wording.names import PEOPLE

KINDS = (r"\d+", r"[A-Z]{1,2}", "|".join(PEOPLE))
"""Names of nodes: numbers, letters, people; what looks like one but names no node is foreign."""
CALLED = r"(?:[Nn]odes?\s+)?"
JOIN = r"(?:\s*(?:->|>|,|;|\u2013|-)\s*(?:and\s+|then\s+|to\s+)*|\s+(?:then|to|and)\s+|\s+)"
OPEN = r"[\s:=\"'(\[{]*"
FOREIGN = -1
"""Stands for a name of no node."""


def nodes_of(text: str, names: Sequence[str], subjects: str) -> tuple[int, ...] | Ambiguous | None:
    """The nodes that a text gives as its answer, in order.

    It is the sequence that follows one of the subjects. A text without them that holds only one
    sequence gives that.

    Args:
        text: The text.
        names: Name of each node.
        subjects: What the answer is called, such as `order`, a regular expression without groups.

    Returns:
        The nodes, `FOREIGN` for a name of no node; `AMBIGUOUS` if two different sequences are
        given; None for none.
    """
    told = plain(text)
    one = rf"{CALLED}(?:{kind_of(names)})(?!\w|\.\d)"
    run = rf"{one}(?:{JOIN}{one})*"
    stated = re.compile(rf"(?:{subjects})(?:\s+(?:is|are|be|would be|can be))*{OPEN}({run})")
    found = {to_nodes(match[1], names) for match in stated.finditer(told)}
    if not found:
        many = rf"(?<![\w.]){one}(?:{JOIN}{one})+"
        found = {to_nodes(match[0], names) for match in re.finditer(many, told)}
    if len(found) > 1:
        return AMBIGUOUS
    return found.pop() if found else None


def kind_of(names: Sequence[str]) -> str:
    """The regular expression of names like these."""
    for kind in KINDS:
        if all(re.fullmatch(kind, name) for name in names):
            return kind
    return "|".join(sorted(map(re.escape, names), key=len, reverse=True))


def to_nodes(told: str, names: Sequence[str]) -> tuple[int, ...]:
    """The nodes of a sequence; names of none become `FOREIGN`."""
    number = {name: node for node, name in enumerate(names)}
    kind = re.compile(rf"(?:{kind_of(names)})(?!\w)")
    plain_names = re.sub(r"\b[Nn]odes?\b", " ", told)
    return tuple(number.get(name, FOREIGN) for name in kind.findall(plain_names))
