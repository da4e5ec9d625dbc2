"""How many token ids a tokenizer has."""

from typing import Any


def vocabulary_size(tokenizer: Any) -> int:
    """One more than the highest id, or the number of tokens where that is more.

    `len(tokenizer)` alone is too small where ids have gaps, as after a token was removed or where
    special tokens were given ids after a reserved range.

    Args:
        tokenizer: A Hugging Face tokenizer.
    """
    return max(len(tokenizer), 1 + max(tokenizer.get_vocab().values(), default=-1))
