"""Token ids of prompts: one start token at most, and no end token after them."""

from typing import Any


def prompt_ids(
    tokenizer: Any, prompt: str, special_tokens: bool = True, keep_end: bool = False
) -> list[int]:
    """Ids of a prompt that is to be continued.

    A start token occurs once at most, whether the prompt writes it, the tokenizer adds it, or both.
    An end token that the tokenizer adds is taken off again; one that the prompt writes stays.

    Args:
        tokenizer: Of transformers.
        prompt: The text.
        special_tokens: Whether the tokenizer adds its start and end; not where a chat template has
            written them.
        keep_end: Whether an added end stays, as encoders are trained to read it.

    Returns:
        The ids; of an empty prompt the start token, or the end where there is no start, if special
        tokens are wanted.
    """
    ids: list[int] = list(tokenizer.encode(prompt, add_special_tokens=special_tokens))
    start, end = tokenizer.bos_token_id, tokenizer.eos_token_id
    if special_tokens and end is not None and len(ids) > 1 and ids[-1] == end:
        is_written = tokenizer.encode(prompt, add_special_tokens=False)[-1:] == [end]
        is_twice = is_written and ids[-2] == end
        ids = ids[:-1] if is_twice or not (is_written or keep_end) else ids
    while start is not None and ids[:2] == [start, start]:
        ids = ids[1:]
    if not ids and special_tokens:
        ids = [one for one in (start, end) if one is not None][:1]
    return ids


def document_prefix(tokenizer: Any, text: str) -> list[int]:
    """Ids of the prefix of a document: its start token, once, and the text.

    Another token serves as the start where the tokenizer has none, as in training.
    """
    names = ("bos_token_id", "cls_token_id", "eos_token_id")
    start = next(one for one in (getattr(tokenizer, n, None) for n in names) if one is not None)
    ids: list[int] = list(tokenizer.encode(text, add_special_tokens=False))
    while ids[:1] == [start]:
        ids = ids[1:]
    return [start, *ids]


def continuation_ids(tokenizer: Any, prompt: str, text: str) -> list[int]:
    """Ids of a text that follows a prompt, as the two are tokenised together.

    The prompt keeps its own ids: where its last one would merge with the text, the text is
    tokenised alone.

    Raises:
        ValueError: The text has no token.
    """
    prompt_ids: list[int] = tokenizer.encode(prompt, add_special_tokens=False)
    whole: list[int] = tokenizer.encode(prompt + text, add_special_tokens=False)
    ids = whole[len(prompt_ids) :] if whole[: len(prompt_ids)] == prompt_ids else []
    ids = ids or tokenizer.encode(text, add_special_tokens=False)
    if not ids:
        raise ValueError(f"the continuation {text!r} has no token")
    return list(ids)
