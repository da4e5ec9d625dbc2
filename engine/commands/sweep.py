"""The command `sweep`: search for the best options of a run."""

from collections.abc import Callable


class RunSweep:
    """Runs the trials of a sweep that are left."""

    summary = "search for the best options of a run, by trials that train it"

    def main(self, args: list[str], command_line: Callable[[list[str]], None]) -> None:
        """Run them.

        Args:
            args: What follows `sweep`.
            command_line: Runs a command line in this process.
        """
        from engine.study.sweep.command import main

        main(args, command_line)
