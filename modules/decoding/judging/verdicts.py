"""Wins, ties and losses of one system against another, from verdicts in both orders."""

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

Result = Literal["win", "tie", "loss", "unparsable"]


class Verdict(NamedTuple):
    """What a judge says of two answers shown in one order.

    Attributes:
        one: Score of the first answer; None where the judge's reply cannot be read.
        other: Score of the second one.
        reply: The judge's own words, or why there are none.
        finish: Why an endpoint ended the reply; "length" where its tokens ran out.
    """

    one: float | None
    other: float | None
    reply: str = ""
    finish: str = ""

    @property
    def lead(self) -> float | None:
        """By how much the first is better; None where that is not known."""
        return None if self.one is None or self.other is None else self.one - self.other


class Judge(Protocol):
    """Compares two answers to a question."""

    def compare(self, question: str, one: str, other: str) -> Verdict:
        """Judge two answers, shown in this order."""


class Match(NamedTuple):
    """Our answer against another one.

    Attributes:
        result: Ours.
        first: Verdict where ours is shown first.
        second: Verdict where ours is shown second; `one` is the other's score there.
        swayed: Whether each order has a winner, and not the same: the place decided.
    """

    result: Result
    first: Verdict
    second: Verdict
    swayed: bool


def match(judge: Judge, question: str, ours: str, theirs: str, margin: float = 0.0) -> Match:
    """Ask a judge in both orders.

    A win or a loss takes both orders: where they disagree it is a tie. So it is where the scores of
    an order are no further apart than the margin. One reply that cannot be read makes the match
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
    """1, 0 or -1: whose lead is beyond the margin."""
    return (lead > margin) - (lead < -margin)


@dataclass(frozen=True)
class Tally:
    """Counts of matches; shares are of all of them, those that cannot be read included.

    Attributes:
        win: Matches won.
        tie: Matches tied.
        loss: Matches lost.
        unparsable: Matches with a reply that cannot be read.
        swayed: Of the ties, those in which the place decided.
    """

    win: int = 0
    tie: int = 0
    loss: int = 0
    unparsable: int = 0
    swayed: int = 0

    @property
    def num(self) -> int:
        """Matches."""
        return self.win + self.tie + self.loss + self.unparsable

    @property
    def readable(self) -> int:
        """Matches whose replies can be read."""
        return self.num - self.unparsable

    @property
    def win_rate(self) -> float | None:
        """Share of the readable matches that were won; None where there is none."""
        return self.win / self.readable if self.readable else None

    def share(self, result: Result) -> float:
        """Share of matches with a result.

        Raises:
            ValueError: There is no match.
        """
        if not self.num:
            raise ValueError("there is no match to count.")
        return int(getattr(self, result)) / self.num

    def row(self) -> str:
        """A row of a Markdown table: win, tie, loss, unparsable in percent, and the number."""
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
"""Counts that are drawn at a time."""


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
        groups: What each match belongs to, such as its question where several answers to it are
            judged: groups are drawn as wholes, since their matches are not independent. Every
            match by itself where None.
        level: Share of the drawn win rates within the interval.
        num: Draws.
        seed: Of the draws.

    Raises:
        ValueError: There is no match, not as many groups, or the level is not within (0, 1).
    """
    import numpy as np

    if not results:
        raise ValueError("there is no match to count.")
    if not 0 < level < 1:
        raise ValueError(f"level must be within (0, 1), got {level}.")
    names = list(range(len(results)) if groups is None else groups)
    wins: Counter[Hashable] = Counter()
    for name, result in zip(names, results, strict=True):
        wins[name] += result == "win"
    sizes = Counter(names)
    win_G = np.array([wins[name] for name in sizes], dtype=np.float64)
    size_G = np.array(list(sizes.values()), dtype=np.float64)
    dice, share_G = np.random.default_rng(seed), np.full(len(sizes), 1 / len(sizes))
    rate_N = np.empty(num)
    step = max(1, CHUNK // len(sizes))
    for start in range(0, num, step):
        part = slice(start, min(start + step, num))
        times_MG = dice.multinomial(len(sizes), share_G, size=part.stop - part.start)
        rate_N[part] = (times_MG @ win_G) / (times_MG @ size_G)
    low, high = np.quantile(rate_N, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
