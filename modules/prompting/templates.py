"""How demonstrations and a question become one prompt.

Tokenise the prompts without special tokens (`add_special_tokens=False`): the paper's have none, and
a chat template writes its own.
"""

import warnings
from collections.abc import Sequence
from typing import Any, Protocol

from modules.prompting.demonstrations import Demonstration

ASKED = "{prompt}"
"""Where a question stands in a template."""
GAP = "\n\n"
"""Between demonstrations."""
FOLD = "With fold_system: true a system's text is put before the first user's."
TemplateOptions = dict[str, bool | int | float | str | None]
"""What a chat template is told besides the turns, by name."""


class DemonstrationTemplate(Protocol):
    """Writes prompts."""

    @property
    def stops(self) -> list[str]:
        """Strings that end an answer, since the model then asks by itself."""

    def render(self, shown: Sequence[Demonstration], question: str, tokenizer: Any) -> str:
        """The prompt; demonstrations stand in the order in which they are given."""

    def length(self, demonstration: Demonstration, tokenizer: Any) -> int:
        """Tokens that a demonstration adds to a prompt."""


class ExampleAnswers:
    """Questions each with an example answer, the last of which is to be written (Han, 2023).

    Args:
        query: What stands before an answer; the apostrophe is U+2019, as in the paper.

    Raises:
        ValueError: `query` has no place for the question.
    """

    def __init__(self, query: str = f"Question: {ASKED}{GAP}Here\u2019s an example answer:"):
        if ASKED not in query:
            raise ValueError(f"query must hold {ASKED} where the question stands, got {query!r}.")
        self.query = query

    @property
    def stops(self) -> list[str]:
        """A new line that begins as a question does; none where nothing stands before one."""
        label = self.query.split(ASKED)[0].strip()
        return [f"\n{label}"] if label else []

    def render(self, shown: Sequence[Demonstration], question: str, tokenizer: Any) -> str:
        """Demonstrations with an empty line behind each, then the question."""
        return "".join(map(self._answered, shown)) + self._asked(question)

    def length(self, demonstration: Demonstration, tokenizer: Any) -> int:
        """Tokens of the demonstration and the empty line behind it."""
        return num_tokens(self._answered(demonstration), tokenizer)

    def _asked(self, question: str) -> str:
        return self.query.replace(ASKED, question)

    def _answered(self, one: Demonstration) -> str:
        return f"{self._asked(one.prompt)} {one.response}{GAP}"


class QuestionOnly(ExampleAnswers):
    """The question alone: the baseline of an untuned model (Han, 2023).

    Args:
        query: What stands before the answer.
    """

    def __init__(self, query: str = f"Question: {ASKED}{GAP}Answer:"):
        super().__init__(query)

    def render(self, shown: Sequence[Demonstration], question: str, tokenizer: Any) -> str:
        """The question; demonstrations are left out."""
        return self._asked(question)

    def length(self, demonstration: Demonstration, tokenizer: Any) -> int:
        """Nothing, since none is shown."""
        return 0


class ChatTurns:
    """Demonstrations as earlier turns, by the tokenizer's own chat template.

    Args:
        system: What the system says first; nothing where None.
        template_options: What the template is told besides, such as `enable_thinking: false`.
        fold_system: Whether the system's text stands at the beginning of the first user's turn,
            for templates without such a role.
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
        """The turns, and the beginning of the answer's.

        Raises:
            ValueError: The tokenizer has no chat template.
        """
        turns = [turn for one in shown for turn in turns_of(one)]
        return self._written([*turns, {"role": "user", "content": question}], tokenizer)

    def length(self, demonstration: Demonstration, tokenizer: Any) -> int:
        """Tokens that two turns add behind others."""
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
    """Turns as the tokenizer's own chat template writes them, and the beginning of an answer's.

    Args:
        turns: With `role` and `content`.
        tokenizer: Of transformers.
        options: What the template is told besides, such as `{"enable_thinking": False}`.
        fold_system: Whether a system's text is put before the first user's.
        continued: Whether the last turn is gone on with, instead of a new answer.

    Raises:
        ValueError: The tokenizer has no chat template; or the template refuses the turns, or leaves
            out what the system says.
    """
    name = getattr(tokenizer, "name_or_path", "")
    if getattr(tokenizer, "chat_template", None) is None:
        raise ValueError(
            f"the tokenizer {name!r} has no chat template: word the prompt as plain text, as "
            "modules.prompting.templates.ExampleAnswers does."
        )
    wanted = dict(options or {})
    _check_options(wanted, tokenizer)
    going_on = {"continue_final_message": True} if continued else {}
    told = folded(turns) if fold_system else turns
    try:
        text: str = tokenizer.apply_chat_template(
            told, tokenize=False, add_generation_prompt=not continued, **going_on, **wanted
        )
    except Exception as error:  # templates raise what they like
        raise ValueError(
            f"the chat template of {name!r} refuses turns of {roles(told)}: {error}. {FOLD}"
        ) from error
    for turn in told:
        if turn["role"] == "system" and turn["content"].strip() not in text:
            raise ValueError(f"the chat template of {name!r} leaves out the system's text. {FOLD}")
    return text


def folded(turns: Sequence[dict[str, str]]) -> list[dict[str, str]]:
    """Turns in which the system's text stands before the first user's, an empty line between."""
    said = [turn["content"] for turn in turns if turn["role"] == "system"]
    rest = [dict(turn) for turn in turns if turn["role"] != "system"]
    user = next((turn for turn in rest if turn["role"] == "user"), None)
    if user is None:
        return [dict(turn) for turn in turns]
    user["content"] = GAP.join([*said, user["content"]])
    return rest


def roles(turns: Sequence[dict[str, str]]) -> str:
    """Who speaks, in order."""
    return ", ".join(turn["role"] for turn in turns)


def _check_options(options: TemplateOptions, tokenizer: Any) -> None:
    """Refuse options that are ours to give, and warn of those that a template never reads."""
    ours = sorted({"conversation", "tokenize", "add_generation_prompt"} & set(options))
    if ours:
        raise ValueError(f"template_options cannot say {ours[0]!r}, which is set here")
    for name in options:
        if name not in str(tokenizer.chat_template):
            warnings.warn(f"the chat template never reads the option {name!r}", stacklevel=4)


def turns_of(one: Demonstration) -> list[dict[str, str]]:
    """A demonstration as what a user and an assistant say."""
    return [
        {"role": "user", "content": one.prompt},
        {"role": "assistant", "content": one.response},
    ]


def num_tokens(text: str, tokenizer: Any) -> int:
    """Tokens of a text, no special ones added."""
    return len(tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])
