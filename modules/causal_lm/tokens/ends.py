"""Where a text that a model writes ends: its end tokens, and stop strings in what is new."""

from collections.abc import Iterable, Sequence
from typing import Any

from modules.causal_lm.tokens.vocabulary import vocabulary_size

CONTEXT = 8
"""Tokens before new ones that are decoded with them, since they may decide about a blank."""


def token_ids(ends: Iterable[int | str], tokenizer: Any) -> set[int]:
    """Ids of tokens that are named by id or by string.

    Raises:
        ValueError: The tokenizer has no such token; names it.
    """
    wanted = list(ends)
    found, size = set[int](), vocabulary_size(tokenizer) if wanted else 0
    for end in wanted:
        if isinstance(end, str):
            (number,) = tokenizer.convert_tokens_to_ids([end])
            is_known = number is not None and tokenizer.convert_ids_to_tokens([number]) == [end]
        else:
            number, is_known = end, 0 <= end < size
        if not is_known:
            raise ValueError(f"the end {end!r} is no token of the tokenizer's {size}")
        found.add(int(number))
    return found


def ends_of(model: Any, tokenizer: Any) -> set[int]:
    """Ids that end a text as the model's generation config and its tokenizer say."""
    known = getattr(model.generation_config, "eos_token_id", None)
    listed = known if isinstance(known, list | tuple) else [known]
    return {int(one) for one in (*listed, tokenizer.eos_token_id) if one is not None}


def new_text(
    tokenizer: Any, prompt: Sequence[int], new: Sequence[int], show_special: bool = False
) -> str:
    """What tokens add to a prompt's text; decoding the whole keeps the blank between the two.

    Args:
        tokenizer: Of the ids.
        prompt: Ids before the new ones; none where another model's encoder has read them.
        new: The new ones.
        show_special: Whether special tokens are part of the text.
    """
    skip = not show_special
    before = tokenizer.decode(list(prompt), skip_special_tokens=skip)
    both: str = tokenizer.decode([*prompt, *new], skip_special_tokens=skip)
    return both[len(before) :]


def up_to_end(tokens: Sequence[int], ends: set[int]) -> list[int]:
    """Tokens up to the first end, which is included; all where there is none."""
    over = next((n + 1 for n, token in enumerate(tokens) if token in ends), len(tokens))
    return list(tokens[:over])


class StopStrings:
    """Strings that end a text; the prompt is not searched.

    A string may be spelt by special tokens, too, such as "<|im_end|>".

    Args:
        tokenizer: Decodes the text.
        strings: The strings.

    Raises:
        ValueError: A string is empty.
    """

    def __init__(self, tokenizer: Any, strings: Sequence[str]):
        self.tokenizer = tokenizer
        self.strings = [strings] if isinstance(strings, str) else list(strings)
        if "" in self.strings:
            raise ValueError("a stop string is empty, and would end every text at once")
        self.special = set(tokenizer.all_special_ids)
        self.window = max((len(one.encode()) for one in self.strings), default=0) + CONTEXT

    def are_in(self, prompt: Sequence[int], new: Sequence[int]) -> bool:
        """Whether a string occurs in what is new."""
        texts = [new_text(self.tokenizer, prompt, new)]
        if not self.special.isdisjoint(new):
            texts.append(new_text(self.tokenizer, prompt, new, show_special=True))
        return any(one in text for text in texts for one in self.strings)

    def have_come(self, prompt: Sequence[int], new: Sequence[int]) -> bool:
        """Whether a string occurs in the last of the new tokens, which is all that is decoded."""
        whole = [*prompt, *new]
        at = max(len(prompt), len(whole) - self.window)
        return self.are_in(whole[max(0, at - CONTEXT) : at], whole[at:])

    def up_to(self, prompt: Sequence[int], new: Sequence[int]) -> list[int]:
        """The new tokens up to the one that completes the first string; all where there is none."""
        if not self.strings or not self.are_in(prompt, new):
            return list(new)
        low, high = 1, len(new)  # a string that occurs in some tokens occurs in more of them, too
        while low < high:
            middle = (low + high) // 2
            if self.are_in(prompt, new[:middle]):
                high = middle
            else:
                low = middle + 1
        return list(new[:low])
