"""What an endpoint tells of the next token: the likeliest ones with their log-probabilities."""

from collections.abc import Iterable, Mapping, Sequence
from math import exp, isnan
from typing import Any, NamedTuple

from modules.endpoint.client import Endpoint, EndpointError, Message

NOT_TOLD = -9999.0
"""Stands in some endpoints for the log-probability of a token that is not among the likeliest."""


class Candidate(NamedTuple):
    """A token as an endpoint spells it.

    Attributes:
        token: Its string, or `token_id:` and its number.
        logprob: Natural logarithm of its probability.
        raw: Its bytes, where the endpoint gives them.
        id: Its number in the endpoint's vocabulary, where the endpoint gives it (llama.cpp).
    """

    token: str
    logprob: float
    raw: bytes | None = None
    id: int | None = None


class NextTokens(NamedTuple):
    """What an endpoint tells of the next token.

    Attributes:
        candidates: Falling in probability.
        cap: The most probability that a token which is not listed may have; 1 where the list is
            shorter than asked for, since something is missing from it that may be likely.
    """

    candidates: list[Candidate]
    cap: float


def next_of_text(endpoint: Endpoint, prompt: str | Sequence[int], num: int) -> NextTokens:
    """The likeliest tokens behind a text.

    The temperature of the request is 0, so that the endpoint's own draw is the likeliest one and
    adds none to the list; the log-probabilities are those before any temperature.

    Args:
        endpoint: Asked by `/completions`.
        prompt: The text, or its token ids.
        num: Tokens asked for, K.

    Returns:
        No candidate where the endpoint ends the text without telling a token.

    Raises:
        EndpointError: No answer, or one without log-probabilities.
    """
    choice = endpoint.complete(prompt, max_tokens=1, temperature=0, logprobs=num)
    return told(choice, num, endpoint.path("/completions"))


def next_of_chat(
    endpoint: Endpoint, messages: Sequence[Message], num: int, **options: Any
) -> NextTokens:
    """The likeliest first tokens of a chat's next message; see `next_of_text`."""
    fields = {"max_tokens": 1, "temperature": 0, "logprobs": True, "top_logprobs": num}
    choice = endpoint.chat(messages, **fields, **options)
    return told(choice, num, endpoint.path("/chat/completions"))


def told(choice: Mapping[str, Any], num: int, path: str) -> NextTokens:
    """Read either form: lists under `content` (chats), or a table under `top_logprobs`."""
    try:
        logprobs = choice.get("logprobs") or {}
        found = in_lists(logprobs) if "content" in logprobs else in_table(logprobs)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise EndpointError(f"{path}: log-probabilities of an unknown form.") from error
    if found is not None:
        return listed(*found, num=num)
    said = choice.get("text") or (choice.get("message") or {}).get("content")
    if choice.get("finish_reason") == "stop" and not said:
        return NextTokens([], 1.0)
    raise EndpointError(
        f"{path}: the answer has no log-probabilities of {num} tokens; a server that offers them "
        "is needed, such as vLLM or llama.cpp."
    )


def in_lists(logprobs: Mapping[str, Any]) -> tuple[list[Candidate], str] | None:
    """Candidates and the drawn token of the form of chats."""
    content = logprobs["content"]
    if not content or not content[0].get("top_logprobs"):
        return None
    entries = [candidate(one) for one in content[0]["top_logprobs"]]
    drawn = str(content[0]["token"])
    if all(one.token != drawn for one in entries):
        entries.append(candidate(content[0]))
    return entries, drawn


def in_table(logprobs: Mapping[str, Any]) -> tuple[list[Candidate], str] | None:
    """Candidates and the drawn token of the form of texts."""
    tables = logprobs.get("top_logprobs")
    if not tables or not tables[0]:
        return None
    entries = [Candidate(str(token), float(value)) for token, value in tables[0].items()]
    drawn = logprobs.get("tokens") or [""]
    return entries, str(drawn[0])


def candidate(entry: Mapping[str, Any]) -> Candidate:
    """One entry of a list."""
    raw, number = entry.get("bytes"), entry.get("id")
    return Candidate(
        str(entry["token"]),
        float(entry["logprob"]),
        None if raw is None else bytes(raw),
        number if isinstance(number, int) else None,
    )


def listed(entries: Iterable[Candidate], drawn: str, num: int) -> NextTokens:
    """Candidates in order, and what an unlisted token may have at most.

    An endpoint adds the token that it drew where that is none of the K likeliest; and a table loses
    tokens that share a string. So an unlisted token is bounded by the K-th of the list, and only
    where K are there without one that may have been added.
    """
    known = [one for one in entries if one.logprob > NOT_TOLD and not isnan(one.logprob)]
    known.sort(key=lambda one: -one.logprob)
    is_added = len(known) > 1 and known[-1].token == drawn
    ranked = known[:-1] if is_added else known
    return NextTokens(known, exp(min(0.0, ranked[num - 1].logprob)) if len(ranked) >= num else 1.0)
