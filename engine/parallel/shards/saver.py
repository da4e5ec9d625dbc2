"""Saves that end before the training goes on, or while it does."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait

from engine.ranks.messages import print_once


class Saver:
    """Does one save after another; in the background where they are asynchronous.

    One save at a time: the next one waits for the last, so that memory holds one copy of what is
    written. What fails in the background is raised by the next save, or by `finish`.

    Args:
        is_async: Whether saves are done in the background.
    """

    def __init__(self, is_async: bool):
        self.is_async = is_async
        self.executor: ThreadPoolExecutor | None = None
        self.pending: list[Future[None]] = []

    def save(self, write: Callable[[], None]) -> None:
        """Write, or begin to; `finish` must have been called before."""
        if not self.is_async:
            write()
            return
        self.executor = self.executor or ThreadPoolExecutor(1, "checkpoints")
        self.pending = [self.executor.submit(write)]

    def once_saved(self, action: Callable[[], None]) -> None:
        """Do something when what is being written is written; never where that fails."""
        if not self.pending or self.executor is None:
            action()
            return
        self.pending.append(self.executor.submit(after, self.pending[0], action))

    def finish(self) -> None:
        """Wait for what is being written.

        Raises:
            OSError: It could not be written.
        """
        pending, self.pending = self.pending, []
        wait(pending)  # all of it, also where the first one failed
        for one in pending:
            one.result()

    def close(self) -> None:
        """The same at the end of a run, where a fault is printed: there may be another error."""
        try:
            self.finish()
        except OSError as error:
            print_once(str(error))
        if self.executor is not None:
            self.executor.shutdown()
            self.executor = None


def after(save: Future[None], action: Callable[[], None]) -> None:
    """Do something if a save went well."""
    if save.exception() is None:
        action()
