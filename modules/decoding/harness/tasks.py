"""Tasks of the evaluation harness in the terms of decoders.

Plain texts become questions; names of arguments become those of transformers' `generate`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from typing_extensions import override

from modules.prompting.format import Formatted, fill_in
from modules.prompting.question import Question

LENGTHS = ("max_gen_toks", "max_new_tokens", "max_tokens", "max_completion_tokens")
"""Names of the number of new tokens in tasks; the first one counts."""


class Verbatim(Formatted):
    """A prompt that is not stripped: the space before an answer belongs to the task.

    Args:
        text: The prompt; names in braces are fields.
        special_tokens: Whether the tokenizer adds its start and end; false if the harness applies a
            chat template, which writes them.
    """

    @override
    def __call__(self, question: Question, tokenizer: Any) -> str:
        return fill_in(self.text, question)


def whole(text: str) -> dict[str, str]:
    """The whole text as `question`."""
    return {"question": text}


@dataclass(frozen=True)
class SplitAt:
    """A text as `context` and `question`, which begins at the last occurrence of a marker.

    A text without the marker is all question, with an empty context.

    Attributes:
        marker: Such as "Question:".
    """

    marker: str

    def __post_init__(self) -> None:
        """Refuse an empty marker."""
        if not self.marker:
            raise ValueError("the marker between context and question is empty.")

    def __call__(self, text: str) -> dict[str, str]:
        """Split a text; the two fields concatenated are the text."""
        at = max(0, text.rfind(self.marker))
        return {"context": text[:at], "question": text[at:]}


def arguments(asked: Mapping[str, Any], num_new: int) -> dict[str, Any]:
    """Arguments of `Decoder.generate` for those of a task.

    Args:
        asked: `until`, `max_gen_toks` or another name of it, `do_sample`, `temperature` (0 takes
            the likeliest token), and others of transformers' `generate`.
        num_new: Maximum new tokens, if the task does not say.
    """
    given = dict(asked)
    until = given.pop("until", None) or []
    stop = [one for one in ([until] if isinstance(until, str) else until) if one]
    lengths = [given.pop(name, None) for name in LENGTHS]
    wanted = next((int(one) for one in lengths if one is not None), num_new)
    temperature = given.pop("temperature", None)
    is_sampled = given.pop("do_sample", None)
    if temperature is not None and float(temperature) == 0:
        is_sampled = False
    elif is_sampled is None:
        is_sampled = temperature is not None
    if is_sampled:
        given["temperature"] = 1.0 if temperature is None else float(temperature)
    return {**given, "stop": stop, "max_new_tokens": wanted, "do_sample": bool(is_sampled)}
