"""The command line of a trial: what was given, and what it sets, read by the parser of `fit`."""

import io
import tempfile
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import yaml

from engine.config.origins import config_files, option_at
from engine.config.parser import refuse
from engine.study.child import EntryPoint
from engine.study.sweep.space.space import Space
from engine.study.trial import Options, nested

OWN = "sweep"
"""Options of the command line that begin so are the sweep's; all others are those of `fit`."""


def divided(args: list[str]) -> tuple[list[str], list[Path], list[str]]:
    """Divide a command line: the sweep's options, the configs of `fit`, and its flags.

    `--sweep FILE` is the sweep's config, `--sweep.num_trials 3` an option over it.
    """
    own: list[str] = []
    flags: list[str] = []
    for option in grouped(args):
        name = (option_at(option, 0) or ("", ""))[0]
        if name == OWN or name.startswith(f"{OWN}."):
            own += [renamed(option[0]), *option[1:]]
        elif name in ("help", "h", "print_config"):
            own += option
        elif name != "config":
            flags += option
    return own, config_files(args), flags


def grouped(args: list[str]) -> list[list[str]]:
    """A command line by its options, each with the words that follow it."""
    groups: list[list[str]] = []
    for arg in args:
        is_option = arg.startswith("-") and not is_number(arg)
        if is_option or not groups:
            groups.append([])
        groups[-1].append(arg)
    return groups


def is_number(text: str) -> bool:
    """Whether a word is a number, as -1 is."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def renamed(flag: str) -> str:
    """An option of the sweep as its own parser knows it."""
    name, joined, value = flag.lstrip("-").partition("=")
    name = name.removeprefix(OWN).removeprefix(".") or "config"
    return f"--{name}{joined}{value}"


def refuse_double(space: Space, flags: Sequence[str], options: Options) -> None:
    """Refuse a key that is searched and also set.

    Raises:
        ValueError: Names it.
    """
    given = {(option_at([flag], 0) or ("", ""))[0] for flag in flags}
    for key in space.keys:
        if key in given or key in options:
            where = "on the command line" if key in given else "by the sweep's options"
            raise ValueError(f"space: {key} is searched, and set {where}; leave one of them out")


def resolved(
    entry_point: EntryPoint,
    configs: Sequence[Path],
    flags: Sequence[str],
    options: Options,
    source: str,
) -> dict[str, Any]:
    """What `fit` makes of a command line, without running it.

    Args:
        entry_point: What runs a command line.
        configs: Those of the user.
        flags: Those of the user.
        options: What a trial sets over them.
        source: Where the options come from, for messages.

    Raises:
        Refused: It has a fault, which is reported in a line.
    """
    with tempfile.TemporaryDirectory() as folder:
        own = Path(folder, "trial.yaml")
        own.write_text(yaml.safe_dump(nested(options)))
        layers = [f"--config={path}" for path in configs]
        args = ["fit", *layers, *flags, f"--config={own}", "--print_config"]
        with redirect_stdout(io.StringIO()) as out, redirect_stderr(io.StringIO()) as err:
            code = exit_code(entry_point, args)
    if code not in (0, None):
        refuse(err.getvalue().replace(str(own), source))
    lines = [line for line in out.getvalue().splitlines() if not line.startswith("[")]
    return dict(yaml.safe_load("\n".join(lines)) or {})


def exit_code(entry_point: EntryPoint, args: list[str]) -> Any:
    """How a command line ends."""
    try:
        entry_point(args)
    except SystemExit as end:
        return end.code
    return 0
