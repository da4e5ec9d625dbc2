"""Which remote files a URL, a folder or a pattern selects: the only place that lists them."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import takewhile
from pathlib import PurePosixPath
from typing import Any

from datamodules.records.errors import MisfitError
from datamodules.records.remote.address import WEB, expanded, path_of, protocol, shown
from datamodules.records.remote.file import RemoteFile, looked_up, with_facts
from datamodules.records.remote.retry import EARLY, retried
from datamodules.records.remote.store import store_of

NUM_THREADS = 16
"""Requests that are sent at the same time."""
GLOB = "*?["
"""Signs of a glob."""
Listed = tuple[RemoteFile, PurePosixPath]
"""A file, and its path from the folder that the user named."""


def listed(url: str, is_wanted: Callable[[str], bool]) -> list[Listed]:
    """The files that a URL selects, each once, sorted by their paths as local ones are.

    Args:
        url: Of a file; of a folder, which selects the wanted files below it; or a glob. Each may
            have brace ranges such as `{00000..00099}`. HTTP has neither folders nor globs.
        is_wanted: Whether a file of a folder is wanted, by its name.

    Raises:
        FileNotFoundError: There is none.
        OSError: The store cannot be asked; says why.
        ValueError: The pattern cannot be used.
    """
    urls = expanded(url)
    if protocol(url) in WEB:
        found = _of_web(urls)
    else:
        found = [one for each in urls for one in _selected(each, is_wanted)]
    if not found:
        raise FileNotFoundError(f"{shown(url)}: no file there matches.")
    by_path = {(file.path, file.url): (file, below) for file, below in found}
    return [by_path[key] for key in sorted(by_path)]


def _of_web(urls: Sequence[str]) -> list[Listed]:
    for url in urls[:1]:
        if "*" in url.partition("?")[0] or url.partition("?")[0].endswith("/"):
            raise MisfitError(
                f"{shown(url)}: HTTP lists no folders; name files by a brace range, such as "
                "shards/{00000..00099}.tar."
            )
    with ThreadPoolExecutor(NUM_THREADS) as threads:
        files = list(threads.map(looked_up, urls))
    return [(file, PurePosixPath(file.name)) for file in files]


def _selected(url: str, is_wanted: Callable[[str], bool]) -> list[Listed]:
    """The files that one URL of a store with folders selects."""
    store, path = store_of(url)
    is_glob = any(sign in path for sign in GLOB)
    asked = retried(lambda: _asked(store, path, is_glob), url, EARLY)
    if not asked and (start := _start(path)):  # a glob of a missing bucket is empty too
        retried(lambda: store.info(start), url, EARLY)
    files = {name: info for name, info in asked.items() if not _is_folder(info)}
    if not files:
        find = partial(store.find, detail=True)
        below = [retried(partial(find, folder), url, EARLY) for folder in asked]
        files = {
            name: info
            for each in below
            for name, info in each.items()
            if not _is_folder(info) and is_wanted(PurePosixPath(name).name)
        }
    base = _fixed(path_of(url)) if is_glob or path not in files else path_of(url).parent
    found = [with_facts(_address(url, path, name), info) for name, info in files.items()]
    return [(file, file.path.relative_to(base)) for file in found]


def _asked(store: Any, path: str, is_glob: bool) -> dict[str, Any]:
    """What stands at a path, by its name in the store."""
    store.invalidate_cache()
    return dict(store.glob(path, detail=True)) if is_glob else {path: store.info(path)}


def _start(path: str) -> str:
    """What stands before the first part of a path that has a sign of a glob."""
    parts = path.split("/")
    return "/".join(takewhile(lambda part: not any(sign in part for sign in GLOB), parts))


def _address(url: str, path: str, name: str) -> str:
    """The URL of a file of a store, spelt as the user spelt the URL of which it was found.

    Args:
        url: The user's.
        path: What the store makes of it.
        name: Of the file, as the store spells it.
    """
    url = url.rstrip("/")
    pairs = zip(reversed(url), reversed(path), strict=False)
    same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
    return url[: len(url) - same] + name[len(path) - same :]


def _is_folder(info: dict[str, Any]) -> bool:
    return bool(info.get("type") == "directory")


def _fixed(path: PurePosixPath) -> PurePosixPath:
    """What a glob says outright: the path up to its first part with a sign."""
    parents = (path, *path.parents)
    return next(one for one in parents if not any(sign in str(one) for sign in GLOB))
