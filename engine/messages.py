"""Errors of a configuration in one plain line: where, which key, what would be right."""

import contextlib
import os
import sys
from pathlib import Path
from typing import Any, NoReturn

from lightning.pytorch.cli import LightningArgumentParser
from omegaconf.errors import OmegaConfBaseException
from typing_extensions import override

from engine.complaint import Complaint
from engine.sentences import explain


def refuse(reason: str) -> NoReturn:
    """End with one line on standard error and exit code 2."""
    print(" ".join(reason.split()), file=sys.stderr)
    raise SystemExit(2)


def refuse_arguments(error: Exception) -> NoReturn:
    """End with what a class said of its arguments, out of all that the parser wrapped around it.

    The environment variable JSONARGPARSE_DEBUG lets the error through.
    """
    if "JSONARGPARSE_DEBUG" in os.environ:
        raise error
    first: BaseException = error
    while first.__cause__ is not None:
        first = first.__cause__
    refuse(str(first))


class PlainParser(LightningArgumentParser):
    """A parser whose errors are one line: file, key, the nearest right key.

    The environment variable JSONARGPARSE_DEBUG brings back the parser's own traceback.
    """

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **{"allow_abbrev": False} | kwargs)  # --trainer.max_step is a slip
        self.folder = Path.cwd()

    @override
    def parse_args(self, *args: Any, **kwargs: Any) -> Any:
        self.folder = Path.cwd()
        try:
            return super().parse_args(*args, **kwargs)
        except OmegaConfBaseException as error:  # the parser lets these through
            self.error(str(error), error)

    @override
    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        if not self.exit_on_error or "JSONARGPARSE_DEBUG" in os.environ:
            super().error(message, ex)
        reason = message
        # the parser reads each file from its own folder; a slip here must not hide the error
        with contextlib.suppress(Exception), contextlib.chdir(self.folder):
            reason = explain(Complaint(message, self))
        refuse(reason)
