"""Truncation of questions until all their prompts fit the models that read them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from modules.decoding.branches.branches import Branches, encode
from modules.decoding.branches.rows import prompt_room
from modules.prompting.question import Question

TRIES = 8
"""Maximum number of cuts; a cut text may have a few tokens more than expected."""


def fitted(
    question: Question,
    excess: Callable[[Question], int],
    shorter: Callable[[Question, int], Question | None],
) -> Question:
    """The question, cut until no prompt is too long; the same object if none is.

    Args:
        question: What is asked.
        excess: Tokens by which its longest prompt is too long; 0 or less if it fits.
        shorter: Cuts the given number of tokens off a question; returns None if nothing is left to
            cut.

    Raises:
        ValueError: It is too long however much is cut; names the excess in tokens.
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
        f"a prompt is {over} tokens longer than a model can take with the new tokens, and "
        "nothing more can be cut off"
    )


def excess(branches: Branches, question: Question, num_new: int) -> int:
    """Tokens by which the longest prompt of a question exceeds its model's context.

    Args:
        branches: Models and prompts.
        question: What is asked.
        num_new: Maximum tokens that may follow.
    """
    return over(branches, branch_prompt_ids(branches, question), num_new)


def branch_prompt_ids(branches: Branches, question: Question) -> list[list[int]]:
    """Token ids of a question's prompts, by branch."""
    return [encode(one, question) for one in branches.branches]


def over(branches: Branches, ids: Sequence[Sequence[int]], num_new: int) -> int:
    """Tokens by which the longest of a question's prompts exceeds its model's context."""
    rooms = [prompt_room(one.model, num_new) for one in branches.branches]
    pairs = zip(ids, rooms, strict=True)
    return max([0, *(len(own) - room for own, room in pairs if room is not None)])


@dataclass(frozen=True)
class Fitted:
    """A question as all branches read it; every use of its prompts is of these.

    Attributes:
        question: The question after cutting.
        ids: Token ids of its prompts, by branch.
        num_cut: Tokens of its texts that were cut off, in the first branch's vocabulary; 0 if none
            were.
    """

    question: Question
    ids: list[list[int]]
    num_cut: int = 0


Asked = Question | Fitted | str
"""What is asked: a question that may still be cut, its field `question` alone, or one that was
already fitted."""


def fields_of(asked: Asked) -> Question:
    """The texts of a question, by field."""
    if isinstance(asked, Fitted):
        return asked.question
    return {"question": asked} if isinstance(asked, str) else asked


def name_of(asked: Asked) -> str:
    """The name of a question without an id: its texts."""
    return repr(sorted(fields_of(asked).items()))


def fit(
    branches: Branches,
    question: Question,
    num_new: int,
    shorter: Callable[[Question, int], Question | None],
) -> Fitted:
    """The question, cut until all its prompts fit their models together with new tokens.

    Args:
        branches: Models and prompts.
        question: What is asked.
        num_new: Maximum tokens that may follow.
        shorter: Cuts the given number of tokens off a question; returns None if nothing is left to
            cut.

    Raises:
        ValueError: It is too long however much is cut; names the excess in tokens.
    """
    ids: list[list[int]] = []

    def too_long(one: Question) -> int:
        nonlocal ids
        ids = branch_prompt_ids(branches, one)
        return over(branches, ids, num_new)

    short = fitted(question, too_long, shorter)
    if short is question:
        return Fitted(question, ids)
    before, after = (num_tokens(one, branches.first.tokenizer) for one in (question, short))
    return Fitted(short, ids, max(1, before - after))


def prompts_of(asked: Sequence[Fitted]) -> list[list[list[int]]]:
    """Token ids of prompts, by branch and question."""
    return [list(one) for one in zip(*(question.ids for question in asked), strict=True)]


def num_tokens(question: Question, tokenizer: Any) -> int:
    """Tokens of all texts of a question."""
    return sum(len(tokenizer.encode(text, add_special_tokens=False)) for text in question.values())


def without_end(question: Question, field: str, num_tokens: int, tokenizer: Any) -> Question | None:
    """The question without the last `num_tokens` of a field; None if it has fewer."""
    ids = tokenizer.encode(question.get(field, ""), add_special_tokens=False)
    if len(ids) <= num_tokens:
        return None
    kept = tokenizer.decode(ids[: len(ids) - num_tokens], skip_special_tokens=True)
    return {**question, field: kept}


def without_prefix(question: Question, num_tokens: int, tokenizer: Any) -> Question | None:
    """The question without the first `num_tokens` of its first field that is not empty.

    A shorter field is cut completely. None if all fields are empty.
    """
    field = next((name for name, text in question.items() if text), None)
    if field is None:
        return None
    ids = tokenizer.encode(question[field], add_special_tokens=False)
    return {**question, field: tokenizer.decode(ids[num_tokens:], skip_special_tokens=False)}
