"""Texts in plain characters: a collected set often shows by others where a text was copied from.

In `machine_text` people's texts have no line breaks and mostly straight quotes, where models write
both kinds: a detector that sees them can learn that rather than how a machine writes.
"""

from collections.abc import Iterator
from dataclasses import replace

from typing_extensions import override

from datamodules.records.document import BadSample, Document
from datamodules.text.source import TextSource

PLAIN = str.maketrans(
    {**dict.fromkeys("“”„«»", '"'), **dict.fromkeys("‘’‚", "'"), **dict.fromkeys("‐‑‒–—", "-")}  # noqa: RUF001
    | {"…": "..."}
)
"""Typographic characters, and what a typewriter has for them."""


def plain(text: str) -> str:
    """A text on one line with single spaces, straight quotes and short dashes."""
    return " ".join(text.translate(PLAIN).split())


class PlainSource(TextSource):
    """The documents of another source in plain characters.

    Args:
        source: The other source.
    """

    def __init__(self, source: TextSource):
        super().__init__(source.weight)
        self.source = source

    @property
    @override
    def name(self) -> str:
        return self.source.name

    @override
    def fingerprint(self) -> str:
        return f"plain/{sorted(PLAIN.items())}/{self.source.fingerprint()}"

    @override
    def documents(self) -> Iterator[Document | BadSample]:
        for one in self.source.documents():
            yield replace(one, text=plain(one.text)) if isinstance(one, Document) else one
