"""Questions with checked answers, asked of a model at an endpoint."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from modules.decoding.black_box.method import EndpointConfig
from modules.decoding.records import Record, Totals
from modules.graph.asking import Checker, summary
from modules.prompting.format import Formatted
from modules.prompting.question import Question

TASK = "task"
"""Field of a question that names the test set it belongs to."""
SET = "set"
"""Field of a question that says which problems these are."""


@dataclass(frozen=True)
class Request:
    """How a question becomes a request.

    Attributes:
        api: Whether the model answers a `chat` (/chat/completions) or continues a `text`
            (/completions).
        prompt: The user's message, or the text; names in braces are fields of the question.
        system: The system's message; none where None, and of a text none at all.
        max_tokens: Greatest length of an answer.
        temperature: Of the draws; 0 takes the likeliest token.
        stop: Strings that end an answer.
    """

    api: Literal["chat", "text"] = "chat"
    prompt: str = "{question}"
    system: str | None = None
    max_tokens: int = 1024
    temperature: float = 0.0
    stop: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check the numbers and the prompt."""
        if self.max_tokens < 1:
            raise ValueError(f"max_tokens must be at least 1, got {self.max_tokens}")
        if self.temperature < 0:
            raise ValueError(f"temperature must not be negative, got {self.temperature}")
        Formatted(self.prompt)

    def messages(self, prompt: str) -> list[dict[str, str]]:
        """The chat that asks."""
        opening = [] if self.system is None else [{"role": "system", "content": self.system}]
        return [*opening, {"role": "user", "content": prompt}]

    def ask(self, endpoint: EndpointConfig, question: Question) -> tuple[str, bool]:
        """The answer, and whether the model ran out of tokens; no text is an empty answer."""
        prompt = Formatted(self.prompt)(question, None)
        stop = list(self.stop) or None
        options = {"max_tokens": self.max_tokens, "temperature": self.temperature, "stop": stop}
        if self.api == "text":
            choice = endpoint.complete(prompt, **options)
            text = choice.get("text")
        else:
            choice = endpoint.chat(self.messages(prompt), **options)
            message = choice.get("message")
            text = message.get("content") if isinstance(message, dict) else None
        return text if isinstance(text, str) else "", choice.get("finish_reason") == "length"


class EndpointAsker:
    """Asks a model at an endpoint, and judges its answers.

    Args:
        endpoint: Of the model.
        checker: Judges the answers.
        request: How questions are asked.
    """

    def __init__(self, endpoint: EndpointConfig, checker: Checker, request: Request):
        self.endpoint = endpoint
        self.checker = checker
        self.request = request
        self.at_once = endpoint.at_once

    def load(self) -> list[Any]:
        """Nothing is loaded."""
        return []

    def ask(self, question: Question, choices: Sequence[str], right: int, name: str = "") -> Record:
        """The answer to a question and what it is worth."""
        text, is_cut = self.request.ask(self.endpoint, question)
        return self.judged(question, text, is_cut)

    def judged(self, question: Question, text: str, is_cut: bool) -> Record:
        """What an answer is worth; `cut` is 1 where the model ran out of tokens, else 0."""
        return {"continuation": text, "cut": float(is_cut), **self.checker.check(question, text)}

    def totals(self, records: Sequence[Record]) -> Totals:
        """Means of each test set."""
        row = means(records)
        lines = [
            f"{task:<13}{len(found)} questions, "
            + ", ".join(f"{name} {value:.3f}" for name, value in summary(found).items())
            for task, found in by_task(records).items()
        ]
        return Totals("\n".join(lines), row)


def by_task(records: Sequence[Record]) -> dict[str, list[Record]]:
    """Records by test set; without one they are all `asked`."""
    found: dict[str, list[Record]] = defaultdict(list)
    for one in records:
        found[str(one.get(TASK, "asked"))].append(one)
    return dict(found)


def means(records: Sequence[Record]) -> dict[str, float]:
    """Every mean of every test set, as `task/quantity`."""
    return {
        f"{task}/{name}": value
        for task, found in by_task(records).items()
        for name, value in summary(found).items()
    }
