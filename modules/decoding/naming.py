"""Errors that name the question they are about."""

from collections.abc import Iterator
from contextlib import contextmanager

from modules.endpoint.client import EndpointError


@contextmanager
def naming(question: str | None) -> Iterator[None]:
    """Prefix errors raised in this context with the id of a question, if there is one.

    Raises:
        EndpointError: One was raised.
        ValueError: One was raised.
    """
    try:
        yield
    except EndpointError as error:
        raise EndpointError(_named(question, error)) from None
    except ValueError as error:
        raise ValueError(_named(question, error)) from error


def _named(question: str | None, error: Exception) -> str:
    return str(error) if question is None else f"question {question!r}: {error}"
