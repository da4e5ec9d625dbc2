"""Parses the two scores of a judge's reply.

Reasoning and Markdown are removed; nothing is guessed. The rest must begin with two scores and
nothing else: on one line, on two lines, named by their answers, or as JSON.
"""

import json
import re
from collections.abc import Iterable, Iterator

LEAST, GREATEST = 1.0, 10.0
"""Bounds of scores."""

THOUGHTS = re.compile(r"<(think|thinking|thought|reasoning)>.*?</\1>", re.DOTALL | re.IGNORECASE)
"""Reasoning before a reply, if the server does not remove it."""
OPEN_THOUGHT = re.compile(r"<(think|thinking|thought|reasoning)>", re.IGNORECASE)
"""Reasoning without an end: the reply was cut off within it."""
MARKS = re.compile(r"[*_`#>|\[\](){}]+")
"""Marks of Markdown and brackets."""
NUMBER = r"(\d+(?:\.\d+)?)(?:\s*/\s*10(?:\.0+)?)?"
"""A score, of 10 or not."""
HEAD = r"(?:(?:the\s+)?(?:final\s+)?(?:scores?|ratings?|verdict)\s*[:=-]?\s*)?"
PAIR = re.compile(rf"{HEAD}{NUMBER}\s*(?:[\s,;&]|and|vs\.?)\s*{NUMBER}\s*\.?", re.IGNORECASE)
"""Two scores on a line."""
NAMED = r"(?:answer|assistant|response|score(?:\s+of\s+answer)?)\s*{}\s*(?:[:=-]|is)\s*" + NUMBER
BOTH = re.compile(rf"{NAMED.format(1)}\s*[\s,;.]\s*{NAMED.format(2)}\s*\.?", re.IGNORECASE)
"""Two scores, each named by its answer, in their order."""
SINGLE = re.compile(rf"{NUMBER}\s*\.?")
"""One score on a line."""


def scores_of(reply: str) -> tuple[float, float] | None:
    """Scores of the first and of the second answer; None if they cannot be parsed.

    Args:
        reply: The judge's reply, reasoning and Markdown included.
    """
    text = THOUGHTS.sub("\n", reply)
    if OPEN_THOUGHT.search(text):
        return None
    found = of_json(text) or of_lines(text)
    if found is None or not all(LEAST <= one <= GREATEST for one in found):
        return None
    return found


def of_lines(text: str) -> tuple[float, float] | None:
    """Scores on the first line, or on the first two."""
    lines = [clean for clean in (plain(line) for line in unfenced(text)) if clean]
    for pattern, given in ((PAIR, lines[:1]), (BOTH, lines[:1]), (BOTH, lines[:2])):
        found = pattern.fullmatch(" ".join(given))
        if found:
            return float(found[1]), float(found[2])
    singles = [SINGLE.fullmatch(line) for line in lines[:2]]
    if len(singles) == 2 and singles[0] and singles[1]:
        return float(singles[0][1]), float(singles[1][1])
    return None


def unfenced(text: str) -> Iterator[str]:
    """Lines, without those that open or close a block of code."""
    return (line for line in text.splitlines() if not line.lstrip().startswith("```"))


def plain(line: str) -> str:
    """A line without Markdown, stripped, with single spaces."""
    return " ".join(MARKS.sub(" ", line).split()).replace(" .", ".")


def of_json(text: str) -> tuple[float, float] | None:
    """Scores of a reply that begins with a JSON list or object which holds just two numbers."""
    start = "\n".join(unfenced(text)).strip()
    if not start.startswith(("{", "[")):
        return None
    try:
        value, _ = json.JSONDecoder().raw_decode(start)
    except ValueError:
        return None
    numbers = list(numbers_of(value.values() if isinstance(value, dict) else value))
    return (numbers[0], numbers[1]) if len(numbers) == 2 else None


def numbers_of(values: Iterable[object]) -> Iterator[float]:
    """Numbers among values, also where they are written as text."""
    for value in values:
        if isinstance(value, bool):
            continue
        if isinstance(value, int | float):
            yield float(value)
        elif isinstance(value, str) and SINGLE.fullmatch(value.strip()):
            yield float(value.strip().split("/")[0].rstrip(". "))
