"""Systems that read and write text."""

from functools import cached_property
from typing import Any

from modules.weights.origin import read_tokenizer


class Tokenized:
    """A system with a tokenizer.

    Attributes:
        tokenizer_source: Local folder or hub id of the tokenizer.
    """

    tokenizer_source: str

    @cached_property
    def tokenizer(self) -> Any:
        """The tokenizer, read when first needed."""
        return read_tokenizer(self.tokenizer_source)
