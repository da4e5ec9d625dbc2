"""Several detectors as one: the mean of their probabilities.

The other way to join generators is to train one detector on texts of all of them, which costs one
network at the test rather than many (2310.05165 recommends it).
"""

from collections.abc import Sequence

import numpy as np

from modules.detector.scores import Scores, aligned


def average(members: Sequence[Scores]) -> Scores:
    """The texts of the members with the mean of their probabilities.

    Args:
        members: Scores of each detector on the same texts.

    Raises:
        ValueError: There is no member, or two were tested on different texts.
    """
    same = list(aligned({f"member {i}": one for i, one in enumerate(members)}).values())
    return same[0].saying(np.mean([one.p_machine for one in same], axis=0))
