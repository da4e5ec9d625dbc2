"""How much of an image or clip its beginning is."""


def num_given(share: float, num: int) -> int:
    """How many of its parts a share is, rounded down; the paper's r (Han et al., 2024, sec. 4).

    Shares such as 0.29 lie a little below what they are meant to be: 0.29 of 100 parts are 29. It
    is never all of them.

    Args:
        share: In [0, 1).
        num: Parts of a whole.

    Raises:
        ValueError: The share is out of bounds.
    """
    if not 0 <= share < 1:
        raise ValueError(f"share must be within [0, 1), got {share}.")
    return min(int(share * num + 1e-9), num - 1)
