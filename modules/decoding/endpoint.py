"""A client of an endpoint that speaks as OpenAI's does; the standard library suffices for it."""

import http.client
import json
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from typing_extensions import override

Message = Mapping[str, str]
"""`role` and `content` of one message of a chat."""

PASSING = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})
"""Status codes of failures that may be over a moment later."""
SECRET = frozenset({401, 403})
"""Status codes of refusals whose text may quote the key."""
SHOWN = 200
"""Characters of an endpoint's own words in a message."""


class EndpointError(RuntimeError):
    """An endpoint could not be reached, refused, or gave what cannot be read."""


@dataclass(frozen=True)
class Patience:
    """How often a call is tried, and how long it waits.

    Attributes:
        tries: Tries of one call, at least 1.
        timeout: Seconds without a sign of the endpoint after which a try is given up.
        pause: Seconds before the second try; doubled before each further one.
        longest: Most seconds before a try. Where the endpoint asks for more (`Retry-After`), the
            call is given up at once.
    """

    tries: int = 5
    timeout: float = 60.0
    pause: float = 1.0
    longest: float = 60.0

    def __post_init__(self) -> None:
        """Refuse what never tries or never ends."""
        if self.tries < 1:
            raise ValueError(f"tries must be at least 1, got {self.tries}.")
        for name, value in (("timeout", self.timeout), ("longest", self.longest)):
            if not value > 0:
                raise ValueError(f"{name} must be above 0, got {value}.")
        if self.pause < 0:
            raise ValueError(f"pause must not be negative, got {self.pause}.")

    def before(self, retry: int, asked: float) -> float:
        """Seconds before retry number 1, 2, ...; at least those that the endpoint asked for."""
        return max(asked, min(self.longest, self.pause * 2 ** (retry - 1)))


class Failure(NamedTuple):
    """Why a try failed, whether another one may succeed, and the seconds asked for before it."""

    what: str
    may_pass: bool
    asked: float = 0.0


class NoRedirect(urllib.request.HTTPRedirectHandler):
    """Follows no redirect: it would take the key to a place that nobody named."""

    @override
    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        return None


class Endpoint:
    """Texts and chats of one model behind an OpenAI-compatible endpoint.

    The key is read from the environment at each call; it is neither kept nor shown.

    Args:
        base_url: Such as `http://127.0.0.1:8000/v1`.
        model: The model's name there.
        key_variable: Environment variable that holds the key; None where none is needed.
        patience: Tries and waits.
        extra: What every request holds beside or instead of ours, such as
            `{"return_tokens_as_token_ids": True}`; None takes a field away.
        sleep: Waits for some seconds; the clock where None.

    Raises:
        ValueError: The address is none of http(s) or holds a password, or the variable is not set.
    """

    def __init__(
        self,
        base_url: str,
        model: str,
        key_variable: str | None = None,
        patience: Patience = Patience(),
        extra: Mapping[str, Any] | None = None,
        sleep: Callable[[float], None] | None = None,
    ):
        parts = urlsplit(base_url)
        if parts.password or parts.username:
            raise ValueError("base_url holds a user or a password; give a key_variable instead.")
        if parts.scheme not in ("http", "https") or not parts.netloc:
            raise ValueError(f"base_url must start with http:// or https://, got {base_url!r}.")
        self.base_url = base_url.rstrip("/")
        self.model = model
        self.key_variable = key_variable
        self.patience = patience
        self.extra = dict(extra or {})
        self.sleep = time.sleep if sleep is None else sleep
        self.opener = urllib.request.build_opener(NoRedirect)
        self.key()  # told now rather than at the first call

    def key(self) -> str | None:
        """The key, from the environment."""
        if self.key_variable is None:
            return None
        key = os.environ.get(self.key_variable, "").strip()
        if not key:
            raise ValueError(f"the environment variable {self.key_variable} of the key is not set.")
        return key

    def complete(self, prompt: str | Sequence[int], **options: Any) -> dict[str, Any]:
        """The first choice of `/completions`; options are fields of the request."""
        prompt = prompt if isinstance(prompt, str) else list(prompt)
        return self.first_choice("/completions", {"prompt": prompt, **options})

    def chat(self, messages: Sequence[Message], **options: Any) -> dict[str, Any]:
        """The first choice of `/chat/completions`; options are fields of the request."""
        return self.first_choice("/chat/completions", {"messages": list(messages), **options})

    def reply(self, messages: Sequence[Message], **options: Any) -> str:
        """Text of a chat's next message; empty where the endpoint gives none."""
        message = self.chat(messages, **options).get("message")
        content = message.get("content") if isinstance(message, dict) else None
        return content if isinstance(content, str) else ""

    def first_choice(self, name: str, payload: Mapping[str, Any]) -> dict[str, Any]:
        """The first of the choices in the answer to a request.

        Raises:
            EndpointError: There is none, or no answer (`post`).
        """
        choices = self.post(name, payload).get("choices")
        if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
            raise EndpointError(f"{self.path(name)}: the answer has no choices.")
        return choices[0]

    def path(self, name: str) -> str:
        """Path of the URL, for messages."""
        return urlsplit(self.base_url + name).path

    def post(self, name: str, payload: Mapping[str, Any]) -> dict[str, Any]:
        """Answer to a request.

        Raises:
            EndpointError: There is none, after as many tries as patience allows; names path,
                status and tries.
        """
        fields = {"model": self.model, **payload, **self.extra}
        body = json.dumps({k: v for k, v in fields.items() if v is not None}).encode()
        number = 1
        result = self._try(name, body)
        while isinstance(result, Failure) and self._may_retry(number, result):
            self.sleep(self.patience.before(number, result.asked))
            number += 1
            result = self._try(name, body)
        if isinstance(result, dict):
            return result
        asks = f"; it asks to wait {result.asked:g} s" if result.asked else ""
        tries = f"{number} {'try' if number == 1 else 'tries'}"
        raise EndpointError(f"{self.path(name)}: {result.what} ({tries}{asks}).")

    def _may_retry(self, number: int, failure: Failure) -> bool:
        is_soon = failure.asked <= self.patience.longest
        return failure.may_pass and is_soon and number < self.patience.tries

    def _try(self, name: str, body: bytes) -> dict[str, Any] | Failure:
        """One try."""
        key = self.key()
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if key is not None:
            headers["Authorization"] = f"Bearer {key}"
        request = urllib.request.Request(self.base_url + name, body, headers, method="POST")
        try:
            with self.opener.open(request, timeout=self.patience.timeout) as response:
                return read(response.read())
        except urllib.error.HTTPError as error:
            return refusal(error, key)
        except (OSError, http.client.HTTPException) as error:
            return Failure(f"no answer: {reason(error, self.patience.timeout)}", may_pass=True)


def read(body: bytes) -> dict[str, Any] | Failure:
    """The JSON object of an answer."""
    try:
        answer = json.loads(body)
    except ValueError:
        answer = None
    if isinstance(answer, dict):
        return answer
    return Failure("status 200, but the answer is no JSON object", may_pass=True)


def refusal(error: urllib.error.HTTPError, key: str | None) -> Failure:
    """Why an endpoint refused; its own words where they cannot hold the key."""
    with error:
        words = "" if error.code in SECRET else own_words(error)
    if key is not None:
        words = words.replace(key, "***")
    told = f"status {error.code}{': ' + words if words else ''}"
    return Failure(told, error.code in PASSING, seconds(error.headers.get("Retry-After")))


def own_words(error: urllib.error.HTTPError) -> str:
    """An endpoint's message, on one line."""
    try:
        text = error.read().decode("utf-8", "replace")
    except (OSError, http.client.HTTPException):
        return ""
    try:
        answer = json.loads(text)
        inner = answer.get("error", answer)
        text = str(inner.get("message", text)) if isinstance(inner, dict) else str(inner)
    except (ValueError, AttributeError):
        pass
    return " ".join(text.split())[:SHOWN].rstrip(".")


def reason(error: Exception, timeout: float) -> str:
    """Why there was no answer."""
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(cause, TimeoutError):
        return f"nothing came for {timeout:g} s"
    return " ".join((str(cause) or type(cause).__name__).split())[:SHOWN]


def seconds(retry_after: str | None) -> float:
    """Seconds of a `Retry-After`, given as a number or as a date; 0 where it says none."""
    if retry_after is None:
        return 0.0
    try:
        return max(0.0, float(retry_after))
    except ValueError:
        pass
    try:
        when = parsedate_to_datetime(retry_after)
    except ValueError:
        return 0.0
    when = when if when.tzinfo else when.replace(tzinfo=UTC)
    return max(0.0, (when - datetime.now(UTC)).total_seconds())
