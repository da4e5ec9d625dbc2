"""How many parts of an image or clip a prefix of some share has."""


def num_given(share: float, num: int) -> int:
    """Number of parts in a share, rounded down and less than all (r of Han et al., 2024, sec. 4).

    A float such as 0.29 lies slightly below its decimal value; still, 0.29 of 100 parts is 29.

    Args:
        share: In [0, 1).
        num: Parts of the whole.

    Raises:
        ValueError: The share is out of bounds.
    """
    if not 0 <= share < 1:
        raise ValueError(f"share must be within [0, 1), got {share}.")
    return min(int(share * num + 1e-9), num - 1)
