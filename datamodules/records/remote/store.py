"""The file system of a URL: the only place that asks fsspec for one."""

from typing import Any

from datamodules.records.errors import MisfitError
from datamodules.records.remote.address import PASSWORD, WEB, protocol, shown

CONNECT_SECONDS, READ_SECONDS = 10.0, 60.0
"""How long an HTTP server may take to accept a connection, and between two pieces of data."""


def store_of(url: str) -> tuple[Any, str]:
    """File system and path of a URL.

    A process asks anew for each request: fsspec keeps one for each process, and those of another
    process cannot be used after a fork. Credentials and other settings are those of the file
    system's own tools, and of fsspec's (`FSSPEC_S3_ENDPOINT_URL` and the like).

    Raises:
        MisfitError: The protocol is unknown, its package is missing, or the URL has a password.
    """
    from fsspec.core import url_to_fs

    if PASSWORD.search(url):
        raise MisfitError(
            f"{shown(url)}: a URL in a config must hold no password; credentials come from the "
            "environment or the files of the store's own tools."
        )
    if "::" in url:
        raise MisfitError(f"{shown(url)}: chains of protocols (::) are not read.")
    try:
        found: tuple[Any, str] = url_to_fs(url, **_options(url))
        return found
    except (ImportError, ValueError) as error:
        raise MisfitError(_unusable(url, error)) from None


def _options(url: str) -> dict[str, Any]:
    if protocol(url) not in WEB:
        return {}
    from aiohttp import ClientTimeout

    seconds = ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=READ_SECONDS)
    return {"client_kwargs": {"timeout": seconds, "trust_env": True}}  # proxies, .netrc


def _unusable(url: str, error: Exception) -> str:
    """Why there is no file system for a URL."""
    from fsspec.registry import known_implementations

    kind = protocol(url)
    if kind not in known_implementations:
        return f"{shown(url)}: no protocol is called {kind}; such as s3, gs, hf, https are known."
    if isinstance(error, ImportError):
        package = known_implementations[kind]["class"].split(".")[0]
        return f"{shown(url)}: {kind}:// needs a package: uv pip install {package}"
    return f"{shown(url)} cannot be used: {shown(str(error))}"
