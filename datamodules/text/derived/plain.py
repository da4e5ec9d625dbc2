"""Texts in plain characters.

In collected sets, typography often reveals the origin of a text. In `machine_text`, human texts
have no line breaks and mostly straight quotes, while models write both kinds: a detector could
learn the typography instead of the style.
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
"""Typographic characters and their ASCII replacements."""


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
