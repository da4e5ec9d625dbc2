"""The command `sweep`."""

import re
import sys
from argparse import HelpFormatter
from pathlib import Path

from jsonargparse import Namespace
from typing_extensions import override

from engine.config.parser import PlainParser, refuse
from engine.study.child import EntryPoint
from engine.study.sweep.configs import divided
from engine.study.sweep.sweep import Sweep

ABOUT = (
    "Search for the best options of a run. Everything but the options below is given to `fit`: "
    "configs, and flags over them. The space and the rest are best kept in a file: docs/sweeps.md."
)


class SweepParser(PlainParser):
    """Shows the options of a sweep as they are given beside those of `fit`."""

    @override
    def format_help(self, formatter: HelpFormatter | None = None) -> str:
        text = super().format_help() if formatter is None else super().format_help(formatter)
        return SHOWN.sub(prefixed, text)


SHOWN = re.compile(r"(?<=[\[ ])--(?P<name>[a-z]\w*)(?![\w-])")
"""An option in the help."""
SHARED = ("help", "print_config", "standalone", "nproc_per_node")
"""Names that are not the sweep's own."""


def prefixed(match: re.Match[str]) -> str:
    """An option of the sweep as it is given."""
    name = match["name"]
    if name in SHARED:
        return f"--{name}"
    return "--sweep" if name == "config" else f"--sweep.{name}"


def read_sweep(args: list[str]) -> tuple[Sweep, Namespace, list[Path], list[str]]:
    """The sweep that a command line describes, all it says of it, and what is for `fit`."""
    own, configs, flags = divided(args)
    parser = SweepParser(prog="cli.py sweep", description=ABOUT)
    parser.add_argument("--config", action="config", help="file with the options below")
    parser.add_argument("--report", action="store_true", help="report, and run nothing")
    named = parser.add_class_arguments(Sweep)
    asks = {arg.partition("=")[0] for arg in own} & {"--config", "--space", "--help", "-h"}
    if not asks:
        refuse("command line: nothing says what is searched; name a sweep by --sweep")
    given = parser.instantiate_classes(parser.parse_args(own))
    sweep = Sweep(**{name: given[name] for name in named})
    if not configs:
        refuse("command line: nothing says what is trained; name a config by --config")
    return sweep, given, configs, flags


def main(args: list[str], entry_point: EntryPoint) -> None:
    """Run the trials that are left, and report; exit code 2 where something is refused.

    Args:
        args: What follows `sweep` on the command line.
        entry_point: What runs a command line in this process.
    """
    try:
        sweep, given, configs, flags = read_sweep(args)
        from engine.study.sweep.findings.report import SweepReport
        from engine.study.sweep.worker import Worker

        source = next((str(path) for path in given.get("config") or []), "sweep")
        worker = Worker(sweep, configs, flags, entry_point, say, source)
        ledger = worker.join(is_run=not given.report)
        report = SweepReport(ledger, sweep)
        if not given.report:
            worker.run(ledger)
        for line in report.write():
            print(line)
    except (OSError, ValueError) as error:
        refuse(str(error))


def say(line: str) -> None:
    """Show a line of progress."""
    print(line, file=sys.stderr, flush=True)
