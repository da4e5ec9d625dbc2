"""Templates that join demonstrations and a question to one prompt.

Tokenise the prompts without special tokens (`add_special_tokens=False`): the paper's have none, and
a chat template writes its own.
"""

import warnings
from collections.abc import Sequence
from typing import Any, Protocol

from modules.prompting.demonstrations import Demonstration

ASKED = "{prompt}"
"""Placeholder of the question in a template."""
GAP = "\n\n"
"""Between demonstrations."""
FOLD = "With fold_system: true the system message is put before the first user message."
TemplateOptions = dict[str, bool | int | float | str | None]
"""Further arguments of a chat template, by name."""


class DemonstrationTemplate(Protocol):
    """Writes prompts."""

    @property
    def stops(self) -> list[str]:
        """Stop strings: the model has started the next question."""

    def render(self, shown: Sequence[Demonstration], question: str, tokenizer: Any) -> str:
        """The prompt; demonstrations keep the given order."""

    def length(self, demonstration: Demonstration, tokenizer: Any) -> int:
        """Tokens that a demonstration adds to a prompt."""


class ExampleAnswers:
    """Questions, each with an example answer; the model writes the last one (Han, 2023).

    Args:
        query: Text before an answer; the apostrophe is U+2019, as in the paper.

    Raises:
        ValueError: `query` has no placeholder for the question.
    """

    def __init__(self, query: str = f"Question: {ASKED}{GAP}Here\u2019s an example answer:"):
        if ASKED not in query:
            raise ValueError(f"query must hold {ASKED} in place of the question, got {query!r}.")
        self.query = query

    @property
    def stops(self) -> list[str]:
        """A new line with the text before a question; none if there is no such text."""
        label = self.query.split(ASKED)[0].strip()
        return [f"\n{label}"] if label else []

    def render(self, shown: Sequence[Demonstration], question: str, tokenizer: Any) -> str:
        """Demonstrations, each followed by an empty line, then the question."""
        return "".join(map(self._answered, shown)) + self._asked(question)

    def length(self, demonstration: Demonstration, tokenizer: Any) -> int:
        """Tokens of the demonstration and the empty line after it."""
        return num_tokens(self._answered(demonstration), tokenizer)

    def _asked(self, question: str) -> str:
        return self.query.replace(ASKED, question)

    def _answered(self, one: Demonstration) -> str:
        return f"{self._asked(one.prompt)} {one.response}{GAP}"


class QuestionOnly(ExampleAnswers):
    """The question without demonstrations: the zero-shot baseline (Han, 2023).

    Args:
        query: Text before the answer.
    """

    def __init__(self, query: str = f"Question: {ASKED}{GAP}Answer:"):
        super().__init__(query)

    def render(self, shown: Sequence[Demonstration], question: str, tokenizer: Any) -> str:
        """The question; demonstrations are ignored."""
        return self._asked(question)

    def length(self, demonstration: Demonstration, tokenizer: Any) -> int:
        """0, since none is shown."""
        return 0


class ChatTurns:
    """Demonstrations as earlier turns, by the tokenizer's own chat template.

    Args:
        system: The system message; none if None.
        template_options: Further arguments of the template, such as `enable_thinking: false`.
        fold_system: Whether the system message is put at the beginning of the first user message,
            for templates without a system role.
    """

    def __init__(
        self,
        system: str | None = None,
        template_options: TemplateOptions | None = None,
        fold_system: bool = False,
    ):
        self.system = system
        self.template_options = template_options
        self.fold_system = fold_system

    @property
    def stops(self) -> list[str]:
        """None: a turn ends with the tokenizer's own token."""
        return []

    def render(self, shown: Sequence[Demonstration], question: str, tokenizer: Any) -> str:
        """The turns, and the start of the answer's turn.

        Raises:
            ValueError: The tokenizer has no chat template.
        """
        turns = [turn for one in shown for turn in turns_of(one)]
        return self._written([*turns, {"role": "user", "content": question}], tokenizer)

    def length(self, demonstration: Demonstration, tokenizer: Any) -> int:
        """Tokens that two turns add after others."""
        texts = [
            self.render([demonstration] * num, demonstration.prompt, tokenizer) for num in (1, 2)
        ]
        one, two = (num_tokens(text, tokenizer) for text in texts)
        return two - one

    def _written(self, turns: list[dict[str, str]], tokenizer: Any) -> str:
        first = [] if self.system is None else [{"role": "system", "content": self.system}]
        return as_chat(first + turns, tokenizer, self.template_options, self.fold_system)


def as_chat(
    turns: list[dict[str, str]],
    tokenizer: Any,
    options: TemplateOptions | None = None,
    fold_system: bool = False,
    continued: bool = False,
) -> str:
    """Turns by the tokenizer's own chat template, and the start of an answer's turn.

    Args:
        turns: With `role` and `content`.
        tokenizer: Of transformers.
        options: Further arguments of the template, such as `{"enable_thinking": False}`.
        fold_system: Whether the system message is put before the first user message.
        continued: Whether the last turn is continued, instead of starting a new answer.

    Raises:
        ValueError: The tokenizer has no chat template; or the template refuses the turns, or omits
            the system message.
    """
    name = getattr(tokenizer, "name_or_path", "")
    if getattr(tokenizer, "chat_template", None) is None:
        raise ValueError(
            f"the tokenizer {name!r} has no chat template: write the prompt as plain text, as "
            "modules.prompting.templates.ExampleAnswers does."
        )
    wanted = dict(options or {})
    _check_options(wanted, tokenizer)
    continuation = {"continue_final_message": True} if continued else {}
    messages = folded(turns) if fold_system else turns
    try:
        text: str = tokenizer.apply_chat_template(
            messages, tokenize=False, add_generation_prompt=not continued, **continuation, **wanted
        )
    except Exception as error:  # templates raise what they like
        raise ValueError(
            f"the chat template of {name!r} refuses turns of {roles(messages)}: {error}. {FOLD}"
        ) from error
    for turn in messages:
        if turn["role"] == "system" and turn["content"].strip() not in text:
            raise ValueError(f"the chat template of {name!r} leaves out the system message. {FOLD}")
    return text


def folded(turns: Sequence[dict[str, str]]) -> list[dict[str, str]]:
    """Turns with the system message before the first user message, separated by an empty line."""
    system = [turn["content"] for turn in turns if turn["role"] == "system"]
    rest = [dict(turn) for turn in turns if turn["role"] != "system"]
    user = next((turn for turn in rest if turn["role"] == "user"), None)
    if user is None:
        return [dict(turn) for turn in turns]
    user["content"] = GAP.join([*system, user["content"]])
    return rest


def roles(turns: Sequence[dict[str, str]]) -> str:
    """The roles, in order."""
    return ", ".join(turn["role"] for turn in turns)


def _check_options(options: TemplateOptions, tokenizer: Any) -> None:
    """Refuse arguments that are set here, and warn of those that the template never reads."""
    ours = sorted({"conversation", "tokenize", "add_generation_prompt"} & set(options))
    if ours:
        raise ValueError(f"template_options cannot set {ours[0]!r}, which is set here")
    for name in options:
        if name not in str(tokenizer.chat_template):
            warnings.warn(f"the chat template never reads the option {name!r}", stacklevel=4)


def turns_of(one: Demonstration) -> list[dict[str, str]]:
    """A demonstration as a user turn and an assistant turn."""
    return [
        {"role": "user", "content": one.prompt},
        {"role": "assistant", "content": one.response},
    ]


def num_tokens(text: str, tokenizer: Any) -> int:
    """Tokens of a text without special tokens."""
    return len(tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])
