"""The command `compare`: runs side by side."""

from collections.abc import Callable


class CompareRuns:
    """Compares runs."""

    summary = "show runs side by side: what differs in their settings, and what came of it"

    def main(self, args: list[str], command_line: Callable[[list[str]], None]) -> None:
        """Compare them.

        Args:
            args: What follows `compare`.
            command_line: Not used.
        """
        from engine.study.compare.command import main

        main(args)
