"""What every comparison with references requires of them."""

from collections.abc import Sequence


def check_references(text: str, references: Sequence[str]) -> None:
    """Refuse references that a text cannot be compared with.

    Raises:
        ValueError: There is none, or they are one text instead of a list of texts.
    """
    if not references:
        raise ValueError(f"no reference for {text[:60]!r}.")
    if isinstance(references, str):
        raise ValueError(f"references must be a list of texts, got the text {references[:60]!r}.")
