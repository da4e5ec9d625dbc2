"""Texts without names that give their label away.

In `article_bias`, 7.7 % of the articles contain the name of their outlet: a classifier of leanings
could learn the outlets. `datamodules.text.derived.plain` takes typography away.
"""

import re
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path


class HiddenNames:
    """Replaces names in texts by a word that fits all of them.

    A name counts where it is not part of a longer word, in its own case only: `Vox`, not `vox`.
    Spaces within a name match any whitespace. Of two names at one position the longer counts.

    Args:
        names: The names; or a file with one a line, where empty lines and those that start with
            `#` do not count.
        by: What is written instead.

    Raises:
        FileNotFoundError: The file does not exist.
        ValueError: There is no name.
    """

    def __init__(self, names: list[str] | str, by: str = "the outlet"):
        self.names = read_names(names) if isinstance(names, str) else list(names)
        self.by = by
        if not any(name.strip() for name in self.names):
            raise ValueError(f"names: there is none in {names!r}.")

    def hide(self, text: str) -> str:
        """A text without the names."""
        return self._pattern.sub(lambda _: self.by, text)

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        longest_first = sorted(filter(None, map(str.strip, self.names)), key=len, reverse=True)
        parts = (r"\s+".join(map(re.escape, name.split())) for name in longest_first)
        return re.compile(rf"(?<!\w)(?:{'|'.join(parts)})(?!\w)")

    @property
    def options(self) -> list[object]:
        """What decides the texts, ready for JSON."""
        return [sorted(self.names), self.by]


def read_names(file: str) -> Sequence[str]:
    """The names of a file, one a line."""
    lines = map(str.strip, Path(file).read_text(encoding="utf-8").splitlines())
    return [line for line in lines if line and not line.startswith("#")]
