"""Long documents cut into passages that fit a row: a pool of books, or instances of one length."""

import json
from bisect import bisect_left
from collections.abc import Iterator
from functools import cached_property
from itertools import islice

from typing_extensions import override

from datamodules.records.document import BadSample, Document
from datamodules.stream.checks import check_bounds
from datamodules.text.source import TextSource
from datamodules.text.tokenizer import TextTokenizer, load_tokenizer

SHORTEST = 8
"""Tokens of a passage that are enough for its start, its end and any one character."""
VERSION = 1
"""Increased when a document is cut in another way, so that passages are tokenised again."""


class TextPassages(TextSource):
    """The documents of another source, each cut between words into passages that fit a row.

    A passage is as long as it can be; white space where it is cut belongs to no passage. The id of
    the third passage of `train.parquet:17` is `train.parquet:17#3`.

    Args:
        source: The other source; its weight does not count.
        tokenizer: Folder or hub name of the tokenizer that counts, that of the data; a fast one.
        length: Tokens of a passage, at most, its start and its end included, such as row_length.
        every: Of the source's documents, only the first of each so many is cut: a sample that costs
            no more than what it holds.
        weight: Share of the rows of an epoch, relative to the other sources; above 0.

    Raises:
        ValueError: A number is too small.
    """

    def __init__(
        self, source: TextSource, tokenizer: str, length: int, every: int = 1, weight: float = 1.0
    ):
        super().__init__(weight)
        check_bounds({"length": length, "every": every}, {"length": SHORTEST, "every": 1})
        self.source = source
        self.tokenizer = tokenizer
        self.length = length
        self.every = every

    @property
    @override
    def name(self) -> str:
        return self.source.name

    @override
    def fingerprint(self) -> str:
        of = [self.source.fingerprint(), self.cutter.tokenizer.fingerprint]
        return json.dumps([type(self).__name__, VERSION, *of, self.length, self.every])

    @cached_property
    def cutter(self) -> "Cutter":
        """What cuts documents; the tokenizer is loaded when it is first needed.

        Raises:
            ValueError: The tokenizer does not know where its tokens stand in a text.
        """
        tokenizer = load_tokenizer(self.tokenizer)
        if not tokenizer.backend.is_fast:
            raise ValueError(
                f"the tokenizer {self.tokenizer} does not say where its tokens stand in a text; "
                "passages need one that comes with a tokenizer.json."
            )
        return Cutter(tokenizer, self.length - 2)

    @override
    def documents(self) -> Iterator[Document | BadSample]:
        """The passages in order; documents that are unusable pass as they are."""
        for one in islice(self.source.documents(), None, None, self.every):
            if isinstance(one, BadSample):
                yield one
                continue
            for number, text in enumerate(self.cutter.passages(one.text), 1):
                yield Document(text, f"{one.origin}#{number}")


class Cutter:
    """Cuts texts into passages.

    Args:
        tokenizer: Counts.
        most: Tokens of a passage, at most, without its start and its end.
    """

    def __init__(self, tokenizer: TextTokenizer, most: int):
        self.tokenizer = tokenizer
        self.most = most

    def passages(self, text: str) -> Iterator[str]:
        """The passages of a text in order; none is blank."""
        begins, start = self._begins(text), 0
        while start < len(text):
            end = self._end(text, begins, start)
            if passage := text[start:end].strip():
                yield passage
            start = end

    def _begins(self, text: str) -> list[int]:
        """Where each token of a text begins, in characters."""
        quiet = {"return_attention_mask": False, "return_token_type_ids": False, "verbose": False}
        found = self.tokenizer.backend(
            text, add_special_tokens=False, return_offsets_mapping=True, **quiet
        )
        return [begin for begin, _ in found["offset_mapping"]]

    def _end(self, text: str, begins: list[int], start: int) -> int:
        """Where the passage ends that starts at a character.

        A passage alone may have more tokens than it had in its text: it is then cut earlier.
        """
        first, most = bisect_left(begins, start), self.most
        while most > 0:
            behind = first + most
            end = between_words(text, start, begins[behind]) if behind < len(begins) else len(text)
            [ids] = self.tokenizer.encode([text[start:end].strip()])
            if len(ids) <= self.most and end > start:
                return end
            most -= max(1, len(ids) - self.most)
        return start + 1


def between_words(text: str, start: int, end: int) -> int:
    """The last place before or at `end` that no word goes over; `end` where there is none."""
    for at in range(end, start, -1):
        if text[at - 1].isspace() or text[at : at + 1].isspace():
            return at
    return end
