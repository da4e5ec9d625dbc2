"""Judges that a config names, records of matches, and their totals."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from modules.decoding.judging.judge import RULES, LocalJudge
from modules.decoding.judging.verdicts import (
    HEAD,
    Judge,
    Match,
    Verdict,
    match,
    tally,
    win_interval,
)
from modules.decoding.pretrained import Pretrained
from modules.decoding.records import Record, Totals
from modules.prompting.question import Question


@dataclass(frozen=True)
class PretrainedJudge:
    """A local causal model as a judge.

    Attributes:
        model: The model to load.
        is_chat: Whether it is prompted by its chat template.
        rules: Its instruction.
    """

    model: Pretrained
    is_chat: bool = False
    rules: str = RULES

    def load(self) -> LocalJudge:
        """The judge."""
        return LocalJudge(*self.model.load(), is_chat=self.is_chat, rules=self.rules)


@dataclass(frozen=True)
class Sides:
    """Fields of a question that hold the two answers.

    Attributes:
        question: What was asked.
        ours: Answer whose wins are counted.
        theirs: The other answer.
    """

    question: str = "question"
    ours: str = "ours"
    theirs: str = "theirs"

    def of(self, question: Question) -> tuple[str, str, str]:
        """Question, our answer and the other one.

        Raises:
            ValueError: The question lacks a field; names it and those present.
        """
        for name in (self.question, self.ours, self.theirs):
            if name not in question:
                raise ValueError(f"there is no field {name!r} among {sorted(question)}.")
        return question[self.question], question[self.ours], question[self.theirs]


class Comparison:
    """Has a judge compare two answers to each question, in both orders.

    Args:
        source: The judge, or a local model to load as one.
        sides: Fields that hold the question and the answers.
        margin: Greatest difference of scores that is a tie.
        group: Key of a record that is the same in matches that are not independent; all are
            independent if None.
        level: Of the interval of the win rate.

    Raises:
        ValueError: The level is not within (0, 1), or the margin negative.
    """

    def __init__(
        self,
        source: Judge | PretrainedJudge,
        sides: Sides,
        margin: float = 0.0,
        group: str | None = None,
        level: float = 0.95,
    ):
        if not 0 < level < 1:
            raise ValueError(f"level must be within (0, 1), got {level}.")
        if margin < 0:
            raise ValueError(f"the margin of ties must not be negative, got {margin}.")
        self.source = source
        self.sides = sides
        self.margin = margin
        self.group = group
        self.level = level
        self.at_once = 1

    def load(self) -> list[Any]:
        """Load the judge if it is a local model."""
        if not isinstance(self.source, PretrainedJudge):
            self.judge: Judge = self.source
            self.at_once = getattr(self.source, "at_once", 1)
            return []
        local = self.source.load()
        self.judge = local
        return [local.model]

    def ask(self, question: Question, choices: Sequence[str], right: int, name: str = "") -> Record:
        """A match, ready for JSON."""
        if self.group is not None and self.group not in question:
            raise ValueError(f"there is no field {self.group!r} among {sorted(question)}.")
        return record(match(self.judge, *self.sides.of(question), self.margin))

    def totals(self, records: Sequence[Record]) -> Totals:
        """Wins, ties and losses, and an interval of the win rate."""
        return totals(records, self.group, self.level)


def record(match: Match) -> Record:
    """A match, ready for JSON."""
    return {
        "first": match.first._asdict(),
        "second": match.second._asdict(),
        "swayed": match.swayed,
        "result": match.result,
    }


def read(record: Mapping[str, Any]) -> Match:
    """The match of a record."""
    first, second = Verdict(**record["first"]), Verdict(**record["second"])
    return Match(record["result"], first, second, record["swayed"])


def totals(records: Sequence[Record], group: str | None, level: float) -> Totals:
    """Wins, ties and losses, and an interval of the win rate of the readable matches.

    Args:
        records: Of all matches.
        group: Key of a record that is equal for matches that are not independent; all are
            independent if None.
        level: Of the interval.
    """
    matches = [read(one) for one in records]
    counts = tally(matches)
    row = {name: float(value) for name, value in asdict(counts).items()}
    lines = [HEAD, counts.row()]
    if counts.win_rate is None:
        lines.append("win rate     not known: no match has replies that can be read")
    else:
        known = [n for n, one in enumerate(matches) if one.result != "unparsable"]
        groups = None if group is None else [records[n][group] for n in known]
        low, high = win_interval([matches[n].result for n in known], groups, level)
        row |= {"win_rate": counts.win_rate, "low": low, "high": high}
        lines.append(
            f"win rate     {counts.win_rate:.1%} of {counts.readable} matches that can be read, "
            f"{level:.0%} interval {low:.1%} to {high:.1%}"
        )
    row["cut"] = sum(is_cut(one.first) or is_cut(one.second) for one in matches)
    lines.append(f"unparsable   {counts.unparsable} of {counts.num} matches{cause(row['cut'])}")
    lines.append(f"swayed       {counts.swayed} of {counts.tie} ties, by position bias")
    return Totals("\n".join(lines), row)


def is_cut(verdict: Verdict) -> bool:
    """Whether a reply cannot be parsed because the judge ran out of tokens."""
    return verdict.lead is None and verdict.finish == "length"


def cause(num_cut: float) -> str:
    """Why replies cannot be parsed, if known."""
    if not num_cut:
        return ""
    return f", {num_cut:.0f} of them since the judge ran out of tokens: raise max_tokens"
