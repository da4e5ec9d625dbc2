"""What a parser says about a configuration, and what it was given."""

import re
from dataclasses import dataclass
from functools import cached_property

from jsonargparse import ArgumentParser

from engine.config.origins import COMMAND_LINE, Origin, all_origins, class_at, find

BLOCK = re.compile(r"""Parser key "(?P<key>[^"]+)"|given class_path '(?P<owner>[^']+)'""")
"""What the message says about the section that a reason lies in."""


@dataclass(frozen=True)
class ParserError:
    """What a parser says, and what it was given.

    Attributes:
        message: Nested blocks of text; inner ones are indented more.
        parser: The parser of a command, or the one above all commands.
    """

    message: str
    parser: ArgumentParser

    @cached_property
    def args(self) -> list[str]:
        """What follows the command."""
        given = list(self.parser.args)
        return given[1:] if self.parser is not self.command else given

    @cached_property
    def command(self) -> ArgumentParser:
        """The parser of the command that was given."""
        verbs = getattr(self.parser._subcommands_action, "choices", None) or {}
        return verbs.get(next(iter(self.parser.args), ""), self.parser)

    @cached_property
    def origins(self) -> list[Origin]:
        """Everything that was given, the strongest first."""
        return all_origins(self.args, self.command.default_config_files)

    def around(self, end: int) -> tuple[str, str | None]:
        """Plain key and class of the blocks that enclose a position of the message."""
        keys: list[str] = []
        owner, depth = None, len(self.message)
        for line in reversed(self.message[:end].splitlines()):
            indent = len(line) - len(line.lstrip())
            if indent < depth:
                depth = indent
                for mark in reversed(list(BLOCK.finditer(line))):
                    if mark["key"]:
                        keys.insert(0, mark["key"])
                    elif not keys:
                        owner = owner or mark["owner"]
        key = ".".join(keys)
        return key, owner or class_at(self.origins, key)

    def at(self, key: str, owner: str | None = None) -> str:
        """`file: key` of a plain key, as far as it can be found."""
        origin = find(self.origins, key, owner)
        return f"{origin.source}: {origin.key}" if origin else f"{COMMAND_LINE}: {key}"

    def holding(self, text: str) -> Origin | None:
        """The strongest origin whose value begins with a text."""
        held = [p for p in self.origins if isinstance(p.value, str) and p.value.startswith(text)]
        return held[0] if held else None
