"""Where the trials of a sweep are kept: SQLite, any other database, or a journal file."""

import socket
from pathlib import Path

import optuna
from optuna.exceptions import StorageInternalError
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

JOURNAL = "journal:"
"""Before the path of a journal file."""
SECONDS = 3.0
"""How long a server may take to answer."""
PATIENT = {"sqlite": {"timeout": 60.0}, "postgresql": {"connect_timeout": 5}}
"""Options of drivers: a locked SQLite file is waited for, a server is not."""
PORTS = {"postgresql": 5432, "mysql": 3306, "mariadb": 3306, "mssql": 1433, "oracle": 1521}
"""Where databases listen, if an address does not say."""


def opened(address: str | None, folder: Path) -> BaseStorage:
    """Open a storage, and make what it needs where it is new.

    Args:
        address: URL of a database, `journal:PATH`, or None for SQLite in the folder.
        folder: Of the sweep.

    Raises:
        ValueError: It cannot be reached; says why, without its password.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    if address is None:
        folder.mkdir(parents=True, exist_ok=True)
        address = f"sqlite:///{folder / 'study.db'}"
    if address.startswith(JOURNAL):
        return journal(Path(address.removeprefix(JOURNAL)))
    return database(address)


def journal(path: Path) -> BaseStorage:
    """A journal file; its lock is a file that is opened anew, which network file systems know."""
    try:
        storage = JournalStorage(JournalFileBackend(str(path), JournalFileOpenLock(str(path))))
        storage.get_all_studies()
    except (OSError, ValueError, KeyError) as error:
        raise ValueError(f"storage: {JOURNAL}{path} cannot be used: {brief(error)}") from error
    return storage


def database(address: str) -> BaseStorage:
    """A database."""
    try:
        url = make_url(address)
    except ArgumentError as error:
        raise ValueError(
            "storage: expected the URL of a database, such as sqlite:///PATH or "
            f"postgresql://USER@HOST/NAME, or {JOURNAL}PATH, got {address}"
        ) from error
    refuse_silent(url)
    kind = url.get_backend_name()
    try:
        options = {"connect_args": PATIENT.get(kind, {}), "pool_pre_ping": True}
        return RDBStorage(address, engine_kwargs=options)
    except (SQLAlchemyError, StorageInternalError, RuntimeError, ImportError, OSError) as error:
        raise ValueError(f"storage: {shown(url)} cannot be used: {brief(error)}") from error


def refuse_silent(url: URL) -> None:
    """Refuse a server that does not answer, before a driver waits for it.

    Raises:
        ValueError: Names the address.
    """
    if not url.host:
        return
    port = url.port or PORTS.get(url.get_backend_name())
    if port is None:
        return
    try:
        socket.create_connection((url.host, port), SECONDS).close()
    except OSError as error:
        reason = f"{url.host}:{port} does not answer ({brief(error)})"
        raise ValueError(f"storage: {shown(url)} cannot be reached: {reason}") from error


def shown(url: URL) -> str:
    """An address without its password."""
    return url.render_as_string(hide_password=True)


def brief(error: BaseException) -> str:
    """What lies at the bottom of an error, in a line."""
    while error.__cause__ is not None:
        error = error.__cause__
    first = (str(error) or type(error).__name__).strip().splitlines()[0]
    return " ".join(first.split())


def let_go(storage: BaseStorage) -> None:
    """Close connections, which a fork of this process must not share."""
    if isinstance(storage, RDBStorage):
        storage.remove_session()
        storage.engine.dispose()
