"""Client of an OpenAI-compatible endpoint, by OpenAI's own package.

The package keeps connections open, retries after transient failures, and waits as long as the
endpoint asks for (`Retry-After`). Fields that it does not know reach the endpoint unchanged.
"""

import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar
from urllib.parse import urlsplit

Message = Mapping[str, str]
"""`role` and `content` of a chat message."""

SECRET = frozenset({401, 403})
"""Status codes whose text may quote the key."""
SHOWN = 200
"""Characters of an endpoint's own text in an error message."""

Asked = TypeVar("Asked")
Answered = TypeVar("Answered")


class EndpointError(RuntimeError):
    """An endpoint could not be reached, refused, or gave an unreadable answer."""


@dataclass(frozen=True)
class Patience:
    """Retries and timeout of a call.

    Attributes:
        tries: Tries of one call, at least 1. Between them the pauses double, up to 8 s, or are as
            long as the endpoint asks for, up to two minutes.
        timeout: Seconds without a response of the endpoint after which a try is given up.
    """

    tries: int = 5
    timeout: float = 60.0

    def __post_init__(self) -> None:
        """Refuse less than one try, and a timeout that is not positive."""
        if self.tries < 1:
            raise ValueError(f"tries must be at least 1, got {self.tries}.")
        if not self.timeout > 0:
            raise ValueError(f"timeout must be above 0, got {self.timeout}.")


class Endpoint:
    """Completions and chats of one model at an OpenAI-compatible endpoint.

    The key is read from the environment at each call; it is never shown.

    Args:
        base_url: Such as `http://127.0.0.1:8000/v1`.
        model: The model's name at the endpoint.
        key_variable: Environment variable that holds the key; None if none is needed.
        patience: Retries and timeout.
        extra: Fields added to every request, or replacing ours, such as
            `{"return_tokens_as_token_ids": True}`; None removes a field.
        at_once: Maximum number of concurrent requests.

    Raises:
        ValueError: The address is not http(s) or holds a password, the variable is not set, or
            `at_once` is below 1.
    """

    def __init__(
        self,
        base_url: str,
        model: str,
        key_variable: str | None = None,
        patience: Patience = Patience(),
        extra: Mapping[str, Any] | None = None,
        at_once: int = 8,
    ):
        parts = urlsplit(base_url)
        if parts.password or parts.username:
            raise ValueError("base_url holds a user or a password; give a key_variable instead.")
        if parts.scheme not in ("http", "https") or not parts.netloc:
            raise ValueError(f"base_url must start with http:// or https://, got {base_url!r}.")
        if at_once < 1:
            raise ValueError(f"at_once must be at least 1, got {at_once}.")
        self.base_url = base_url.rstrip("/")
        self.model = model
        self.key_variable = key_variable
        self.patience = patience
        self.extra = dict(extra or {})
        self.at_once = at_once
        self.key()  # fails now rather than at the first call

    def key(self) -> str:
        """The key, from the environment; a placeholder if none is needed."""
        if self.key_variable is None:
            return "none"
        key = os.environ.get(self.key_variable, "").strip()
        if not key:
            raise ValueError(f"the environment variable {self.key_variable} of the key is not set.")
        return key

    @cached_property
    def client(self) -> Any:
        """OpenAI's client; it follows no redirect, which would send the key to another host."""
        import openai

        return openai.OpenAI(
            api_key=self.key,
            base_url=self.base_url,
            timeout=self.patience.timeout,
            max_retries=self.patience.tries - 1,
            http_client=openai.DefaultHttpxClient(follow_redirects=False),
        )

    def complete(self, prompt: str | Sequence[int], **options: Any) -> dict[str, Any]:
        """The first choice of `/completions`; options are fields of the request."""
        prompt = prompt if isinstance(prompt, str) else list(prompt)
        return self.first_choice("/completions", {"prompt": prompt, **options})

    def chat(self, messages: Sequence[Message], **options: Any) -> dict[str, Any]:
        """The first choice of `/chat/completions`; options are fields of the request."""
        return self.first_choice("/chat/completions", {"messages": list(messages), **options})

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
        """The answer to a request.

        Raises:
            EndpointError: There is none after all tries, or it is not a JSON object; names path and
                status.
        """
        import openai

        fields = {"model": self.model, **payload, **self.extra}
        body = {name: value for name, value in fields.items() if value is not None}
        hidden = ["OpenAI-Organization", "OpenAI-Project"]  # of the environment, only for OpenAI
        hidden += [] if self.key_variable else ["Authorization"]
        options: Any = {"headers": {name: openai.Omit() for name in hidden}}
        try:
            answer = read(self.client.post(name, cast_to=object, body=body, options=options))
        except openai.APIError as error:
            raise EndpointError(f"{self.path(name)}: {self.reason(error)}.") from None
        except (json.JSONDecodeError, UnicodeDecodeError):
            answer = None
        if answer is None:
            raise EndpointError(f"{self.path(name)}: the answer is not a JSON object.")
        return answer

    def reason(self, error: Any) -> str:
        """Why there is no answer, with the endpoint's own text where it cannot hold the key."""
        import openai

        if isinstance(error, openai.APIStatusError):
            words = "" if error.status_code in SECRET else own_words(error)
            reason = f"status {error.status_code}{': ' + words if words else ''}"
        elif isinstance(error, openai.APITimeoutError):
            reason = f"no answer: nothing came for {self.patience.timeout:g} s"
        else:
            reason = f"no answer: {one_line(error.__cause__ or error)}"
        tries = self.patience.tries
        is_repeated = tries > 1 and may_pass(getattr(error, "status_code", None))
        reason += f" (after up to {tries} tries)" if is_repeated else ""
        return reason.replace(self.key(), "***") if self.key_variable else reason


def read(answer: object) -> dict[str, Any] | None:
    """The JSON object of an answer, which is text if its content type is missing."""
    try:
        found = json.loads(answer) if isinstance(answer, str | bytes) else answer
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def may_pass(status: int | None) -> bool:
    """Whether a failure may be transient, so that the package retries."""
    return status is None or status in (408, 409, 429) or status >= 500


def own_words(error: Any) -> str:
    """An endpoint's message, on one line."""
    inner = error.body.get("message", error.body) if isinstance(error.body, dict) else error.body
    return one_line(inner or error.response.text)


def one_line(words: object) -> str:
    """A text on one line, truncated to `SHOWN` characters."""
    return " ".join((str(words) or type(words).__name__).split())[:SHOWN].rstrip(".")


def at_once(ask: Callable[[Asked], Answered], asked: Iterable[Asked], num: int) -> list[Answered]:
    """Results of concurrent calls of an endpoint, in order.

    The first error is raised once the running calls have ended; no call is started after it.
    """
    if num == 1:
        return [ask(one) for one in asked]
    with ThreadPoolExecutor(num) as pool:
        begun = [pool.submit(ask, one) for one in asked]
        try:
            return [one.result() for one in begun]
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
