"""Wins, ties and losses of one system against another, from verdicts in both orders."""

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

Result = Literal["win", "tie", "loss", "unparsable"]


class Verdict(NamedTuple):
    """A judge's verdict on two answers shown in one order.

    Attributes:
        one: Score of the first answer; None if the judge's reply cannot be parsed.
        other: Score of the second one.
        reply: The judge's own words, or why there are none.
        finish: Why an endpoint ended the reply; "length" if its tokens ran out.
    """

    one: float | None
    other: float | None
    reply: str = ""
    finish: str = ""

    @property
    def lead(self) -> float | None:
        """Score difference of the first and the second; None if unknown."""
        return None if self.one is None or self.other is None else self.one - self.other


class Judge(Protocol):
    """Compares two answers to a question."""

    def compare(self, question: str, one: str, other: str) -> Verdict:
        """Compare two answers, shown in this order."""


class Match(NamedTuple):
    """Our answer against another one.

    Attributes:
        result: For our answer.
        first: Verdict with ours shown first.
        second: Verdict with ours shown second; `one` is the other's score there.
        swayed: Whether the two orders have different winners: position bias decided.
    """

    result: Result
    first: Verdict
    second: Verdict
    swayed: bool


def match(judge: Judge, question: str, ours: str, theirs: str, margin: float = 0.0) -> Match:
    """Ask a judge in both orders.

    A win or a loss needs both orders; if they disagree it is a tie. So it is if the scores of an
    order differ by no more than the margin. One reply that cannot be parsed makes the match
    `unparsable`.

    Args:
        judge: The judge.
        question: The question.
        ours: Answer whose wins are counted.
        theirs: The other answer.
        margin: Greatest difference of scores that is a tie, in the judge's units.

    Raises:
        ValueError: The margin is negative.
    """
    if margin < 0:
        raise ValueError(f"the margin of ties must not be negative, got {margin}.")
    first = judge.compare(question, ours, theirs)
    second = judge.compare(question, theirs, ours)
    if first.lead is None or second.lead is None:
        return Match("unparsable", first, second, swayed=False)
    signs = sign(first.lead, margin), sign(-second.lead, margin)
    result: Result = "tie"
    if signs[0] == signs[1]:
        result = "win" if signs[0] > 0 else "loss" if signs[0] < 0 else "tie"
    return Match(result, first, second, swayed=signs[0] * signs[1] < 0)


def sign(lead: float, margin: float) -> int:
    """1, 0 or -1: the sign of a lead beyond the margin."""
    return (lead > margin) - (lead < -margin)


@dataclass(frozen=True)
class Tally:
    """Counts of matches; shares are of all of them, unparsable ones included.

    Attributes:
        win: Matches won.
        tie: Matches tied.
        loss: Matches lost.
        unparsable: Matches with a reply that cannot be parsed.
        swayed: Of the ties, those with position bias.
    """

    win: int = 0
    tie: int = 0
    loss: int = 0
    unparsable: int = 0
    swayed: int = 0

    @property
    def num(self) -> int:
        """Number of matches."""
        return self.win + self.tie + self.loss + self.unparsable

    @property
    def readable(self) -> int:
        """Number of matches whose replies can be parsed."""
        return self.num - self.unparsable

    @property
    def win_rate(self) -> float | None:
        """Share of the readable matches that were won; None if there are none."""
        return self.win / self.readable if self.readable else None

    def share(self, result: Result) -> float:
        """Share of matches with a result.

        Raises:
            ValueError: There are no matches.
        """
        if not self.num:
            raise ValueError("there are no matches to count.")
        return int(getattr(self, result)) / self.num

    def row(self) -> str:
        """A row of a Markdown table: win, tie, loss, unparsable in percent, and the count."""
        names: tuple[Result, ...] = ("win", "tie", "loss", "unparsable")
        return "| " + " | ".join([*(f"{self.share(n):.1%}" for n in names), str(self.num)]) + " |"


HEAD = "| win | tie | loss | unparsable | matches |\n|---|---|---|---|---|"
"""Head of the table of which `Tally.row` is a row."""


def tally(matches: Iterable[Match]) -> Tally:
    """Count matches."""
    matches = list(matches)
    counts = Counter(one.result for one in matches)
    swayed = sum(one.swayed for one in matches)
    return Tally(counts["win"], counts["tie"], counts["loss"], counts["unparsable"], swayed)


CHUNK = 10_000_000
"""Counts drawn at a time."""


def win_interval(
    results: Sequence[Result],
    groups: Sequence[Hashable] | None = None,
    level: float = 0.95,
    num: int = 10_000,
    seed: int = 0,
) -> tuple[float, float]:
    """Bootstrap interval of the win rate, by percentiles (Efron, 1979).

    Args:
        results: Of all matches.
        groups: Group of each match, such as its question if several answers to it are compared:
            groups are resampled as wholes, since their matches are not independent. Every match is
            its own group if None.
        level: Share of the drawn win rates within the interval.
        num: Draws.
        seed: Of the draws.

    Raises:
        ValueError: There are no matches, the number of groups differs, or the level is not within
            (0, 1).
    """
    import numpy as np

    if not results:
        raise ValueError("there are no matches to count.")
    if not 0 < level < 1:
        raise ValueError(f"level must be within (0, 1), got {level}.")
    names = list(range(len(results)) if groups is None else groups)
    wins: Counter[Hashable] = Counter()
    for name, result in zip(names, results, strict=True):
        wins[name] += result == "win"
    sizes = Counter(names)
    win_G = np.array([wins[name] for name in sizes], dtype=np.float64)
    size_G = np.array(list(sizes.values()), dtype=np.float64)
    rng, share_G = np.random.default_rng(seed), np.full(len(sizes), 1 / len(sizes))
    rate_N = np.empty(num)
    step = max(1, CHUNK // len(sizes))
    for start in range(0, num, step):
        part = slice(start, min(start + step, num))
        times_MG = rng.multinomial(len(sizes), share_G, size=part.stop - part.start)
        rate_N[part] = (times_MG @ win_G) / (times_MG @ size_G)
    low, high = np.quantile(rate_N, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
