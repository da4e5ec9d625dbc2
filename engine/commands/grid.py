"""The command `grid`: every combination of some choices, each trained and tested once."""

from collections.abc import Callable

from engine.study.grid import main


class RunGrid:
    """Runs what of a grid is not finished."""

    summary = "train and test every combination of some choices"

    def main(self, args: list[str], command_line: Callable[[list[str]], None]) -> None:
        """Run it.

        Args:
            args: What follows `grid`.
            command_line: Runs a command line in this process.
        """
        main(args, command_line)
