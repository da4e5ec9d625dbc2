"""Records of answers: one per question, and the totals of many."""

from collections.abc import Iterable, Sequence
from glob import glob
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import torch.distributed as dist

from engine.disk.jsonl import parsed
from modules.decoding.branches.likelihood import Likelihood
from modules.decoding.decoder import Decoder, Written
from modules.decoding.fitting import Fitted
from modules.prompting.question import Question

Record = dict[str, Any]
"""The answer to a question, ready for JSON."""


class Totals(NamedTuple):
    """Totals of records.

    Attributes:
        text: Human-readable summary.
        row: Quantities by name, for the logger.
    """

    text: str
    row: dict[str, float]


class QuestionAnswerer(Protocol):
    """Makes a record of each question, such as by a remote model or an LLM judge."""

    at_once: int
    """Maximum number of concurrent questions, once it is loaded."""

    def load(self) -> Sequence[Any]:
        """Load what is needed; returns the local models."""

    def ask(self, question: Question, choices: Sequence[str], right: int, name: str = "") -> Record:
        """The record of a question without its id and fields.

        Args:
            question: What is asked.
            choices: Continuations to choose from; may be empty.
            right: Index of the right one; -1 if unknown.
            name: The question's id, which seeds its draws.
        """

    def totals(self, records: Sequence[Record]) -> Totals:
        """Totals of all records; there is at least one."""


# By choice and by token


def right_choices(
    decoder: Decoder,
    questions: Sequence[Fitted],
    choices: Sequence[Sequence[str]],
    answers: Sequence[int],
) -> list[float]:
    """1 for each question whose right choice is the most likely one, 0 for others.

    Args:
        decoder: Computes the likelihood of choices.
        questions: What is asked, cut so that all choices fit: all are scored after one prompt.
        choices: Continuations of each; questions without any are skipped.
        answers: Indices of the right ones.
    """
    asked = [(q, choice) for q, several in enumerate(choices) for choice in several]
    found = decoder.loglikelihood([questions[q] for q, _ in asked], [text for _, text in asked])
    right = []
    for index, answer in enumerate(answers):
        scores = [one.total for (q, _), one in zip(asked, found, strict=True) if q == index]
        if scores:
            right.append(float(max(range(len(scores)), key=scores.__getitem__) == answer))
    return right


def by_token(decoder: Decoder, written: Sequence[Written]) -> list[Any]:
    """Log-probabilities of every token of every answer under all branches, after its prompts."""
    if not written:
        return []
    asked = [one.asked for one in written]
    tokens = [one.tokens for one in written]
    num = len({one.question for one in written})
    found = decoder.loglikelihood(asked, tokens, num, by_branch=True)
    names = decoder.tokenizer.convert_ids_to_tokens
    return [token_records(names(ids), one) for ids, one in zip(tokens, found, strict=True)]


def token_records(names: list[str], likelihood: Likelihood) -> list[Record]:
    """Log-probabilities of each token, combined and by branch, in nats."""
    return [
        {
            "token": name,
            "combined": round(likelihood.tokens[n], 4),
            **{branch: round(scores[n], 4) for branch, scores in likelihood.branches.items()},
        }
        for n, name in enumerate(names)
    ]


# Across runs and ranks


def earlier(path: str | None) -> dict[str, Record]:
    """Records by id of a file or a glob of files; invalid lines are skipped.

    The first of several records with one id counts.
    """
    names = [] if path is None else [path] if Path(path).is_file() else sorted(glob(path))
    found: dict[str, Record] = {}
    for name in names:
        for line in Path(name).read_bytes().splitlines():
            record = parsed(line)
            if record is not None and isinstance(record.get("id"), str | int):
                found.setdefault(str(record["id"]), record)
    return found


def gathered(records: Iterable[Record]) -> list[Record]:
    """The records of all ranks, in rank order."""
    own = list(records)
    if not (dist.is_available() and dist.is_initialized()):
        return own
    parts: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(parts, own)
    return [one for part in parts for one in part]
