"""Questions that are cut until all their prompts fit the models that read them."""

from collections.abc import Callable
from typing import Any

from modules.decoding.branches import Branches, Question
from modules.decoding.prompts import encode
from modules.decoding.rows import prompt_room

TRIES = 8
"""How often a question is cut; texts that were cut may have a few tokens more than foreseen."""


def fitted(
    question: Question,
    excess: Callable[[Question], int],
    shorter: Callable[[Question, int], Question | None],
) -> Question:
    """The question, cut until no prompt is too long; the very same one where none is.

    Args:
        question: What is asked.
        excess: Tokens by which its longest prompt is too long; 0 or less where it fits.
        shorter: Cuts so many tokens off a question; None where there is nothing left to cut.

    Raises:
        ValueError: It is too long however much is cut; says by how many tokens.
    """
    for _ in range(TRIES):
        over = excess(question)
        if over <= 0:
            return question
        rest = shorter(question, over)
        if rest is None:
            break
        question = rest
    raise ValueError(
        f"a prompt is {over} tokens longer than a model can take with what shall follow it, and "
        "nothing more can be cut off"
    )


def excess(branches: Branches, question: Question, num_new: int) -> int:
    """Tokens by which the longest prompt of a question exceeds its model's context.

    Args:
        branches: Models and prompts.
        question: What is asked.
        num_new: Tokens that may follow, at most.
    """
    over = [0]
    for one in branches.branches:
        room = prompt_room(one.model, num_new)
        if room is not None:
            over.append(len(encode(one.prompt, question, one.tokenizer)) - room)
    return max(over)


def without_end(question: Question, field: str, num_tokens: int, tokenizer: Any) -> Question | None:
    """The question without so many tokens at the end of a field; None where it has fewer."""
    ids = tokenizer.encode(question.get(field, ""), add_special_tokens=False)
    if len(ids) <= num_tokens:
        return None
    kept = tokenizer.decode(ids[: len(ids) - num_tokens], skip_special_tokens=True)
    return {**question, field: kept}


def without_beginning(question: Question, num_tokens: int, tokenizer: Any) -> Question | None:
    """The question without so many tokens at the beginning of its first field that has any.

    All of a shorter field is cut off. None where all fields are empty.
    """
    field = next((name for name, text in question.items() if text), None)
    if field is None:
        return None
    ids = tokenizer.encode(question[field], add_special_tokens=False)
    return {**question, field: tokenizer.decode(ids[num_tokens:], skip_special_tokens=False)}
