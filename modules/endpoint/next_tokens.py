"""The likeliest next tokens that an endpoint reports, with their log-probabilities."""

from collections.abc import Iterable, Mapping, Sequence
from math import exp, isnan
from typing import Any, NamedTuple

from modules.endpoint.client import Endpoint, EndpointError, Message

NOT_REPORTED = -9999.0
"""What some endpoints give as the log-probability of a token that is not among the likeliest."""


class Candidate(NamedTuple):
    """A token as an endpoint writes it.

    Attributes:
        token: Its string, or `token_id:` and its id.
        logprob: Natural logarithm of its probability.
        raw: Its bytes, where the endpoint gives them.
        id: Its id in the endpoint's vocabulary, where the endpoint gives it (llama.cpp).
    """

    token: str
    logprob: float
    raw: bytes | None = None
    id: int | None = None


class NextTokens(NamedTuple):
    """The next-token distribution as far as an endpoint reports it.

    Attributes:
        candidates: In descending probability.
        cap: Upper bound of the probability of an unlisted token; 1 if the list is shorter than
            requested, since a likely token may be missing from it.
    """

    candidates: list[Candidate]
    cap: float


def next_of_text(endpoint: Endpoint, prompt: str | Sequence[int], num: int) -> NextTokens:
    """The likeliest tokens after a text.

    The temperature of the request is 0, so that the endpoint itself draws the likeliest token and
    adds none to the list. The log-probabilities are those before any temperature.

    Args:
        endpoint: Asked by `/completions`.
        prompt: The text, or its token ids.
        num: Number of tokens requested, K.

    Returns:
        No candidates if the endpoint ends the text without reporting a token.

    Raises:
        EndpointError: No answer, or one without log-probabilities.
    """
    choice = endpoint.complete(prompt, max_tokens=1, temperature=0, logprobs=num)
    return parse(choice, num, endpoint.path("/completions"))


def next_of_chat(
    endpoint: Endpoint, messages: Sequence[Message], num: int, **options: Any
) -> NextTokens:
    """The likeliest first tokens of a chat's next message; see `next_of_text`."""
    fields = {"max_tokens": 1, "temperature": 0, "logprobs": True, "top_logprobs": num}
    choice = endpoint.chat(messages, **fields, **options)
    return parse(choice, num, endpoint.path("/chat/completions"))


def parse(choice: Mapping[str, Any], num: int, path: str) -> NextTokens:
    """Read either format: lists under `content` (chats), or a table under `top_logprobs`."""
    try:
        logprobs = choice.get("logprobs") or {}
        found = in_lists(logprobs) if "content" in logprobs else in_table(logprobs)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise EndpointError(f"{path}: log-probabilities of an unknown form.") from error
    if found is not None:
        return listed(*found, num=num)
    text = choice.get("text") or (choice.get("message") or {}).get("content")
    if choice.get("finish_reason") == "stop" and not text:
        return NextTokens([], 1.0)
    raise EndpointError(
        f"{path}: the answer has no log-probabilities of {num} tokens; a server that offers them "
        "is needed, such as vLLM or llama.cpp."
    )


def in_lists(logprobs: Mapping[str, Any]) -> tuple[list[Candidate], str] | None:
    """Candidates and the drawn token in the format of chats."""
    content = logprobs["content"]
    if not content or not content[0].get("top_logprobs"):
        return None
    entries = [candidate(one) for one in content[0]["top_logprobs"]]
    drawn = str(content[0]["token"])
    if all(one.token != drawn for one in entries):
        entries.append(candidate(content[0]))
    return entries, drawn


def in_table(logprobs: Mapping[str, Any]) -> tuple[list[Candidate], str] | None:
    """Candidates and the drawn token in the format of completions."""
    tables = logprobs.get("top_logprobs")
    if not tables or not tables[0]:
        return None
    entries = [Candidate(str(token), float(value)) for token, value in tables[0].items()]
    drawn = logprobs.get("tokens") or [""]
    return entries, str(drawn[0])


def candidate(entry: Mapping[str, Any]) -> Candidate:
    """One entry of a list."""
    raw, token_id = entry.get("bytes"), entry.get("id")
    return Candidate(
        str(entry["token"]),
        float(entry["logprob"]),
        None if raw is None else bytes(raw),
        token_id if isinstance(token_id, int) else None,
    )


def listed(entries: Iterable[Candidate], drawn: str, num: int) -> NextTokens:
    """Candidates in order, and the upper bound of an unlisted token.

    An endpoint adds the token that it drew if that is not among the K likeliest, and a table loses
    tokens that share a string. So an unlisted token is bounded by the K-th of the list, and only if
    there are K without the one that may have been added.
    """
    known = [one for one in entries if one.logprob > NOT_REPORTED and not isnan(one.logprob)]
    known.sort(key=lambda one: -one.logprob)
    is_added = len(known) > 1 and known[-1].token == drawn
    ranked = known[:-1] if is_added else known
    return NextTokens(known, exp(min(0.0, ranked[num - 1].logprob)) if len(ranked) >= num else 1.0)
