"""Tells errors that are somebody's mistake from errors of ours.

A refusal is an error that our code, or a package that the user named as trusted, raised by a
statement of its own: a file that is missing, a column that is not there, a checkpoint of another
model. It is reported in one line. Whatever else breaks keeps its traceback.
"""

import dis
import errno
import re
import traceback
from pathlib import Path
from types import CodeType, TracebackType

from lightning.fabric.utilities.exceptions import MisconfigurationException

from engine.config.trust import OURS, added_packages, within

HERE = Path(__file__).parents[2]
"""The folder of all our packages."""
BUGS = (AssertionError, AttributeError, LookupError, NameError, StopIteration, NotImplementedError)
"""Exceptions of bugs, which nobody raises to inform a user."""
MACHINE = {
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EROFS,
    errno.EIO,
    errno.EMFILE,
    errno.EFBIG,
}
"""Errors of a disk or a system, whoever met them."""
HUB = ("transformers", "huggingface_hub", "diffusers", "datasets")
"""Libraries whose OSErrors say that a folder or a name on the hub holds nothing of use."""
OPTIONS = (
    "lightning.pytorch.callbacks",
    "lightning.pytorch.loggers",
    "lightning.pytorch.trainer.connectors",
    "lightning.fabric.plugins.environments",
)
"""Where Lightning says what it has against options of a config."""
WORKER = re.compile(r"Caught (\w+) in DataLoader worker process \d+\.\nOriginal Traceback")
"""How torch wraps what a worker raised."""
FRAME = re.compile(r'^  File "(?P<file>[^"]+)", line \d+, in .*\n    (?P<code>.*)', re.M)
"""A frame of a traceback that was written down."""
LAST = re.compile(r"^(?P<kind>[A-Za-z_][\w.]*)(?:: (?P<message>.*))?\Z", re.M | re.S)
"""The end of such a traceback: an exception's type and message."""


def refusal(error: BaseException) -> str | None:
    """What to report of an error in one line; None where it is a bug, whose traceback is needed."""
    if WORKER.match(str(error)):
        return refusal_of_worker(str(error))
    if isinstance(error, BUGS):
        return None
    if isinstance(error, OSError) and error.errno is not None:
        return system_message(error) if of_machine(error) or raised_by_us(error) else None
    if isinstance(error, MisconfigurationException) or raised_by_us(error):
        return sentence(error)
    if isinstance(error, Exception) and is_building(error):
        return f"the network cannot be built: {sentence(error)}"
    if isinstance(error, OSError) and raised_in(error, HUB):
        return str(error).strip().splitlines()[0]
    if isinstance(error, ValueError | TypeError | RuntimeError) and raised_in(error, OPTIONS):
        return sentence(error)
    if isinstance(error, ModuleNotFoundError) and (error.name or "").split(".")[0] not in OURS:
        return f"the package {error.name} is not installed" if error.name else sentence(error)
    return None


def sentence(error: BaseException) -> str:
    """The message of an error and its notes; its type where it has none."""
    parts = [str(error) or type(error).__name__, *getattr(error, "__notes__", [])]
    return " ".join(" ".join(parts).split())


def system_message(error: OSError) -> str:
    """`PATH: cause` of an error that the system reported."""
    names = [str(one) for one in (error.filename, error.filename2) if one is not None]
    return ": ".join([" -> ".join(names), str(error.strerror)] if names else [str(error)])


def of_machine(error: OSError) -> bool:
    """Whether a file or a disk is the reason, not an argument of a call."""
    return error.errno in MACHINE or (
        error.filename is not None and not isinstance(error.filename, int)
    )


def innermost(error: BaseException) -> TracebackType | None:
    """The entry of the frame that raised an error."""
    inner = error.__traceback__
    while inner is not None and inner.tb_next is not None:
        inner = inner.tb_next
    return inner


def raised_by_us(error: BaseException) -> bool:
    """Whether the frame that raised an error is ours, and did so by a `raise` statement."""
    inner = innermost(error)
    return inner is not None and is_ours(inner) and is_raise(inner.tb_frame.f_code, inner.tb_lasti)


def is_building(error: BaseException) -> bool:
    """Whether a system was building its network: what libraries have against a config's options."""
    frames = (entry for entry, _ in traceback.walk_tb(error.__traceback__))
    names = [(frame.f_code.co_name, str(frame.f_globals.get("__name__"))) for frame in frames]
    is_ours = any(name == "configure_model" and within(home, OURS) for name, home in names)
    return is_ours and type(error).__name__ != "OutOfMemoryError"


def raised_in(error: BaseException, packages: tuple[str, ...]) -> bool:
    """Whether a `raise` statement of one of the packages raised an error."""
    inner = innermost(error)
    if inner is None or not is_raise(inner.tb_frame.f_code, inner.tb_lasti):
        return False
    name = str(inner.tb_frame.f_globals.get("__name__"))
    return within(name, packages) and bool(str(error).strip())


def is_ours(entry: TracebackType) -> bool:
    """Whether a frame belongs to our packages or to those that the user trusts."""
    name = str(entry.tb_frame.f_globals.get("__name__", ""))
    file = Path(entry.tb_frame.f_code.co_filename)
    return name.split(".")[0] in {*OURS, *added_packages()} or file == HERE / "cli.py"


def is_raise(code: CodeType, offset: int) -> bool:
    """Whether the instruction at an offset is that of a `raise` statement."""
    return dis.opname[code.co_code[offset]] == "RAISE_VARARGS"


def refusal_of_worker(text: str) -> str | None:
    """The same for an error that comes as text out of a DataLoader's worker."""
    whole = text[text.index("Original Traceback") :]
    end = LAST.search(whole[max(whole.rfind("\n  File "), 0) :].partition("\n    ")[2])
    frames = list(FRAME.finditer(whole))
    if not frames or end is None:
        return None
    file, code = Path(frames[-1]["file"]), frames[-1]["code"].strip()
    ours = any(file.is_relative_to(HERE / package) for package in OURS)
    kind = end["kind"].rpartition(".")[2]
    if kind in {bug.__name__ for bug in (*BUGS, KeyError, IndexError)}:
        return None
    is_of_system = (end["message"] or "").startswith("[Errno ")
    if not (is_of_system or (ours and code.startswith("raise "))):
        return None
    return " ".join((end["message"] or kind).split())


def written(error: BaseException) -> str:
    """The whole traceback of an error."""
    return "".join(traceback.format_exception(error))
