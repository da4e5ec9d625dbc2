"""A sequence of nodes, from a free text."""

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass

from datamodules.graphs.reading.ends import CALLED, without_ends
from datamodules.graphs.reading.number_words import with_digits
from datamodules.graphs.reading.text import BOX, is_denied, is_taken_back, statements
from datamodules.graphs.reading.verdict import AMBIGUOUS, Ambiguous
from datamodules.graphs.wording.names import PEOPLE

NUMBERS = r"\d+"
KINDS = {
    NUMBERS: r"(?>-?\w*?\d\w*(?:\.\d+)*|[A-HJ-Z](?!\w))",
    r"[A-Z]{1,2}": r"(?>[A-Z]\w*|\w*?\d\w*)",
    "|".join(PEOPLE): r"(?>[A-Z]\w*|\w*?\d\w*)",
}
"""Names of nodes: numbers, letters, people; and what looks like a name in a list of them."""
JOIN = r"(?: ?(?:->|>|,|;|\u2013|-) ?(?:(?:and|then|to) )*| (?:then|to|and) )"
OPEN = rf"[\s:=\"'(\[{{{BOX}]*"
START = rf"(?<![^\s:=\"'(\[{{{BOX}])"
ANY = rf"[^\s,;:=\"'(\[{{{BOX}]+"
"""What an arrow joins is meant as a node."""
HOLD = r"(?: (?:is|are|be|would be|can be|could be|as follows))*"
SPLIT = re.compile(r" ?[,;>\u2013] ?|(?<=\w)-(?=\w)| - |[\s()\[\]{}\"':]+")
WORDS = {"", "node", "nodes", "Node", "Nodes", "and", "then", "to"}
FOREIGN = -1
"""Stands for a name of no node."""


@dataclass(frozen=True)
class Read:
    """What was read.

    Attributes:
        nodes: The nodes; `AMBIGUOUS` for two different sequences, None for none.
        rest: The text without the sequence.
    """

    nodes: tuple[int, ...] | Ambiguous | None
    rest: str


def nodes_of(text: str, names: Sequence[str], subjects: str) -> tuple[int, ...] | Ambiguous | None:
    """The nodes that a text gives as its answer, in order; see `read_nodes`."""
    return read_nodes(text, names, subjects).nodes


def read_nodes(text: str, names: Sequence[str], subjects: str) -> Read:
    """The nodes that a text gives as its answer, in order.

    It is the sequence that follows one of the subjects or is boxed. A text without them that holds
    only one sequence gives that.

    Args:
        text: The text.
        names: Name of each node.
        subjects: What the answer is called, such as `order`, a regular expression without groups.

    Returns:
        The nodes, `FOREIGN` for a name of no node; `AMBIGUOUS` if two different sequences are
        given, or one is denied or taken back; None for none.
    """
    said = without_ends(statements(text))
    is_numbered, run = kind_of(names) == NUMBERS, run_of(names)
    said = with_digits(said) if is_numbered else said
    alone = KINDS[NUMBERS] if is_numbered else rf"(?:{kind_of(names)})(?!\w)"
    lone = rf"{run}|{START}{alone}(?! [a-z])" if not is_numbered else run
    called = rf"(?i:{subjects}){HOLD}{OPEN}({run}|{START}{CALLED}{alone})"
    stated = re.compile(rf"{called}|{BOX}({run})|(?:\b[Aa]nswer{HOLD}{OPEN}|\bA:\s)({lone})")
    runs = [*re.finditer(f"({run})", said)]
    matches = [*stated.finditer(said)] or runs
    found = {to_nodes(match[match.lastindex or 0], names) for match in matches}
    rest = said
    for match in reversed(matches):
        rest = f"{rest[: match.start()]} ; {rest[match.end() :]}"
    if len(found) != 1:
        return Read(AMBIGUOUS if found else None, rest)
    answer, end = found.pop(), matches[-1].end()
    is_open = any(is_denied(said[: match.start()]) for match in matches)
    is_open = is_open or is_taken_back(said[end:])
    later = [match[0] for match in runs if match.start() >= end]
    is_open = is_open or has_other(later, answer, names)
    return Read(AMBIGUOUS if is_open else answer, rest)


def run_of(names: Sequence[str]) -> str:
    """The regular expression of two nodes or more that are joined; may break off after an arrow."""
    kind = kind_of(names)
    name = rf"{CALLED}(?:{KINDS.get(kind, kind)})"
    joined = rf"(?:{CALLED}{ANY}(?= ->)|{name})(?: -> (?:{CALLED}{ANY})?|{JOIN}{name})+"
    space = r"\s" if kind == NUMBERS else " "
    return rf"{START}(?:{joined}|{CALLED}(?:{kind})(?:{space}{CALLED}(?:{kind})(?!\w|\.\d))+)"


def kind_of(names: Sequence[str]) -> str:
    """The regular expression of names like these."""
    for kind in KINDS:
        if all(re.fullmatch(kind, name) for name in names):
            return kind
    return "|".join(sorted(map(re.escape, names), key=len, reverse=True))


def has_other(later: Sequence[str], answer: tuple[int, ...], names: Sequence[str]) -> bool:
    """Whether sequences after an answer are another answer: neither the same nor all its edges."""
    found = [(to_nodes(one, names), "->" in one) for one in later]
    rivals = [nodes for nodes, arrow in found if arrow or len(nodes) >= min(3, len(answer))]
    return rivals != [*itertools.pairwise(answer)] and any(one != answer for one in rivals)


def to_nodes(said: str, names: Sequence[str]) -> tuple[int, ...]:
    """The nodes of a sequence; names of none, and an arrow to nothing, become `FOREIGN`."""
    number = {name: node for node, name in enumerate(names)}
    return tuple(
        number.get(name, FOREIGN) for part in said.split("->") for name in names_in(part) or [""]
    )


def to_node(said: str, names: Sequence[str]) -> int:
    """The node of a name, the first of several; `FOREIGN` where there is none."""
    return (to_nodes(said, names) or (FOREIGN,))[0]


def names_in(part: str) -> list[str]:
    """What a part of a sequence calls nodes."""
    found = (one.strip(".!…") for one in SPLIT.split(part))
    return [one for one in found if one not in WORDS]
