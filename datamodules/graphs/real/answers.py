"""Exact checkers of the answers to real questions."""

import json
import re
from collections.abc import Mapping
from typing import Any

from datamodules.graphs.reading.sequences import nodes_of
from datamodules.graphs.reading.text import is_denied, is_taken_back, statements
from datamodules.graphs.reading.verdict import Ambiguous, Verdict
from datamodules.graphs.reading.yes_no import yes_or_no

FIELD = "check"
"""The field of a question that holds what its checker needs, as JSON."""
NOTHING = re.compile(r"(?!)")
STANCE = re.compile(r"\b(support|counter)(?:s|ed|ing)?\b", re.IGNORECASE)
LETTER = re.compile(r"(?:^|(?i:answer(?: is)?|option)[\s:(]*|\()([A-D])\b(?!')")
ORDER = r"\b(?:order|answer|sequence)"


class RealAnswer:
    """Whether answers to real questions are right; of orders also the share of edges respected."""

    def check(self, question: Mapping[str, str], answer: str) -> dict[str, Any]:
        """What an answer is worth.

        Returns:
            `verdict`; `right`, 0 or 1; and `edges`, the share of gold edges that an order respects,
            0 for an answer that is none, None for other questions.
        """
        known = json.loads(question[FIELD])
        if known["kind"] == "order":
            return order_check(known, answer)
        if known["kind"] == "yes_no":
            said: str | Ambiguous | None = yes_or_no(answer, NOTHING, NOTHING)
        else:
            said = only(STANCE if known["kind"] == "stance" else LETTER, answer)
        return worth(verdict_of(said, known["answer"]))


def only(pattern: re.Pattern[str], text: str) -> str | Ambiguous | None:
    """The one word that a text gives; two different ones, or one that is denied, are ambiguous."""
    known = statements(text)
    found = [*pattern.finditer(known)]
    words = {match[1].lower() for match in found}
    if not found:
        return None
    is_open = any(is_denied(known[: match.start(1)]) for match in found)
    is_open = is_open or is_taken_back(known[found[-1].end() :])
    return Ambiguous() if len(words) > 1 or is_open else words.pop()


def verdict_of(said: str | Ambiguous | None, wanted: str) -> Verdict:
    """The verdict on one word."""
    if isinstance(said, Ambiguous):
        return "ambiguous"
    return "unparsed" if said is None else "right" if said == wanted.lower() else "wrong"


def worth(verdict: Verdict, edges: float | None = None) -> dict[str, Any]:
    """A verdict as numbers."""
    return {"verdict": verdict, "right": float(verdict == "right"), "edges": edges}


def order_check(known: Mapping[str, Any], text: str) -> dict[str, Any]:
    """Exact where every step comes once and no gold edge is broken."""
    names, edges = known["steps"], [tuple(edge) for edge in known["edges"]]
    order = nodes_of(text, names, ORDER)
    if isinstance(order, Ambiguous) or order is None:
        return worth("unparsed" if order is None else "ambiguous", 0.0)
    place = {node: at for at, node in reversed([*enumerate(order)])}
    kept = [a in place and b in place and place[a] < place[b] for a, b in edges]
    share = sum(kept) / len(kept) if kept else 1.0
    if sorted(order) != [*range(len(names))]:
        return worth("infeasible", share)
    return worth("right" if all(kept) else "wrong", share)
