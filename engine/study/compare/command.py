"""The command `compare`."""

from pathlib import Path

from engine.config.parser import PlainParser, refuse
from engine.study.compare.comparison import SideBySide
from engine.study.compare.runs import found

ABOUT = (
    "Runs side by side: the settings that differ, the last and the best value of what they logged, "
    "and their curves."
)


def main(args: list[str]) -> None:
    """Compare runs; exit code 2 where one is not there.

    Args:
        args: What follows `compare`.
    """
    parser = PlainParser(prog="cli.py compare", description=ABOUT)
    parser.add_argument(
        "runs", nargs="+", type=str, help="run folders, or folders of runs: the newest of each"
    )
    parser.add_argument(
        "--folder", type=str, default="comparison", help="where the tables and curves go"
    )
    given = parser.parse_args(args)
    try:
        for line in SideBySide(found(given.runs), Path(given.folder)).write():
            print(line)
    except (OSError, ValueError) as error:
        refuse(str(error))
