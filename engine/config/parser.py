"""Errors of a configuration in one plain line: where, which key, what would be right."""

import contextlib
import os
import re
import sys
from pathlib import Path
from typing import Any, NoReturn

from lightning.pytorch.cli import LightningArgumentParser
from omegaconf.errors import OmegaConfBaseException
from typing_extensions import override

from engine.config.discovery import import_asked
from engine.config.explanations import explain
from engine.config.origins import COMMAND_LINE, config_files
from engine.config.parser_error import ParserError
from engine.config.refusals import raised_in, refusal
from engine.config.trust import untrusted
from engine.config.yaml_size import too_many_aliases
from engine.ranks.messages import is_first_to_report, lost_other_ranks


class Refused(SystemExit):
    """The end of a command that was refused: exit code 2.

    Attributes:
        reason: The line that was printed.
    """

    def __init__(self, reason: str):
        super().__init__(2)
        self.reason = reason


def refuse(reason: str) -> NoReturn:
    """End with one line on standard error and exit code 2; of several ranks one prints it."""
    line = " ".join(reason.split())
    if is_first_to_report():
        print(line, file=sys.stderr, flush=True)
    raise Refused(line)


def refuse_arguments(error: Exception) -> NoReturn:
    """End with what a class said of its arguments, out of all that the parser wrapped around it.

    The environment variable JSONARGPARSE_DEBUG lets the error through.
    """
    first: BaseException = error
    while first.__cause__ is not None:
        first = first.__cause__
    reason = refusal(first) or of_choices(error, first)
    reason = reason or (str(first) if isinstance(first, ARGUMENTS) else None)
    if reason is None or "JSONARGPARSE_DEBUG" in os.environ:
        raise error
    refuse(reason)


def of_choices(error: Exception, first: BaseException) -> str | None:
    """What a class said where a key takes a class or a list of them, as loggers are given.

    The parser then tries one kind after another, and says what it has against each.
    """
    tried = CHOICE.findall(str(error)) if raised_in(first, ("jsonargparse",)) else []
    kept = [text for text in tried if not text.startswith(("Not a valid subclass", "Expected "))]
    return re.sub(r"Problem with given class_path '([^']+)'", r"\1", kept[-1]) if kept else None


def end(error: Exception) -> NoReturn:
    """End a command that an error stopped: a refusal in one line, a bug by its traceback.

    The environment variable JSONARGPARSE_DEBUG shows the traceback of refusals too.
    """
    if "JSONARGPARSE_DEBUG" in os.environ:
        raise error
    reason = refusal(error)
    if reason is not None:
        refuse(reason)
    if lost_other_ranks(error):
        if is_first_to_report():
            print(f"another rank has ended: {error}", file=sys.stderr, flush=True)
        raise SystemExit(1)
    raise error


def refuse_bombs(args: list[str]) -> None:
    """Refuse files whose aliases would take the parser hours."""
    for path in config_files(args):
        reason = too_many_aliases(path)
        if reason:
            refuse(reason)


def with_null(option: str) -> str:
    """An option of a class whose null the parser has read, and written again as Python does."""
    return re.sub("=None$", "=null", option)


CHOICE = re.compile(r"^  - (.+(?:\n {4,}.+)*)", re.M)
"""What the parser has against one of the kinds that a value may be of."""
ARGUMENTS = (OSError, RuntimeError, ValueError)
"""What a class raises that has something against its arguments."""


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
        given = args[0] if args else kwargs.get("args")
        texts = [str(one) for one in (sys.argv[1:] if given is None else given)]
        refuse_bombs(texts)
        import_asked(texts)
        if args and kwargs.get("namespace") is not None:  # options of a class, one at a time
            args = ([with_null(one) for one in texts], *args[1:])
        try:
            return super().parse_args(*args, **kwargs)
        except OmegaConfBaseException as error:  # the parser lets these through
            self.error(str(error), error)

    @override
    def instantiate_classes(self, *args: Any, **kwargs: Any) -> Any:
        """Build what a configuration names, once all of it may be named."""
        found = untrusted(args[0] if args else kwargs.get("cfg"))
        if found:
            path, reason = found
            origin = None
            with contextlib.suppress(Exception):  # a slip here must not let it pass
                origin = ParserError(reason, self).holding(path)
            where = f"{origin.source}: {origin.key}" if origin else COMMAND_LINE
            refuse(f"{where} is {path}, {reason}")
        return super().instantiate_classes(*args, **kwargs)

    @override
    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        if not self.exit_on_error or "JSONARGPARSE_DEBUG" in os.environ:
            super().error(message, ex)
        reason = message
        # the parser reads each file from its own folder; a slip here must not hide the error
        with contextlib.suppress(Exception), contextlib.chdir(self.folder):
            reason = explain(ParserError(message, self))
        refuse(reason)
