"""Rejection sampling: what to tune on of the answers that a model drew (Yuan et al., 2023)."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.disk.jsonl import append


@dataclass(frozen=True)
class Sampled:
    """The answers to a question.

    Attributes:
        id: Name of the question.
        prompt: What was asked.
        records: `answer`, `reward` and `label` of each answer.
    """

    id: str
    prompt: str
    records: list[dict[str, Any]]

    def answers(self, right: float, are_right: bool) -> list[str]:
        """The different answers that are right, or wrong, in the order of drawing.

        Args:
            right: The least reward of a right answer.
            are_right: Which ones.
        """
        wanted = [one for one in self.records if (one["reward"] >= right) == are_right]
        texts = [one["answer"] for one in wanted if one["answer"].strip()]
        return list(dict.fromkeys(texts))


def instructions(sampled: Sequence[Sampled], right: float) -> list[dict[str, str]]:
    """Each different right answer with its prompt: `id`, `prompt`, `response`."""
    return [
        {"id": one.id, "prompt": one.prompt, "response": text}
        for one in sampled
        for text in one.answers(right, True)
    ]


def preferences(sampled: Sequence[Sampled], right: float) -> list[dict[str, str]]:
    """Pairs of a right and a wrong answer: `id`, `prompt`, `chosen`, `rejected`.

    The first right answer goes with the first wrong one, and so on; no answer is used twice.
    """
    return [
        {"id": one.id, "prompt": one.prompt, "chosen": chosen, "rejected": rejected}
        for one in sampled
        for chosen, rejected in zip(
            one.answers(right, True), one.answers(right, False), strict=False
        )
    ]


def describe(sampled: Sequence[Sampled], right: float) -> Iterator[str]:
    """How the answers fared, in lines."""
    records = [record for one in sampled for record in one.records]
    labels = Counter(str(record["label"]) for record in records)
    solved = sum(bool(one.answers(right, True)) for one in sampled)
    shares = ", ".join(
        f"{label} {count / len(records):.1%}" for label, count in labels.most_common()
    )
    yield f"{len(records):,} answers: {shares}"
    yield f"{solved:,} of {len(sampled):,} questions have a right answer"


def write_sampled(sampled: Sequence[Sampled], folder: Path, right: float) -> Iterator[str]:
    """Write `answers.jsonl`, `instructions.jsonl` and `preferences.jsonl`; yields lines to show.

    Raises:
        FileExistsError: The folder has one of them already.
    """
    answers = [
        {"id": one.id, "prompt": one.prompt, **record} for one in sampled for record in one.records
    ]
    files = {
        "answers": answers,
        "instructions": instructions(sampled, right),
        "preferences": preferences(sampled, right),
    }
    for name in files:
        if (folder / f"{name}.jsonl").exists():
            raise FileExistsError(f"{folder / name}.jsonl is there already: name another folder")
    for name, rows in files.items():
        append(folder / f"{name}.jsonl", rows)
        yield f"{name:<12} {folder / name}.jsonl, {len(rows):,} rows"
