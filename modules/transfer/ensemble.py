"""Ensembles: the mean of several classifiers' probabilities.

The alternative is one classifier trained on the texts of all generators, which costs one network
at test time rather than many (2310.05165 recommends it).
"""

from collections.abc import Sequence

import numpy as np

from modules.transfer.scores import ScoreTable, aligned


def average(members: Sequence[ScoreTable]) -> ScoreTable:
    """The texts of the members with the mean of their probabilities.

    Texts are ranked by that mean; ties, as where all probabilities are 1, are broken by the mean of
    the members' scores.

    Args:
        members: Scores of each classifier on the same texts.

    Raises:
        ValueError: There are no members, or two were tested on different texts.
    """
    same = list(aligned({f"member {i}": one for i, one in enumerate(members)}).values())
    if len(same) == 1:
        return same[0]
    p_machine_N = np.mean([one.p_machine for one in same], axis=0)
    score_N = np.mean([one.score for one in same], axis=0)
    _, rank_N = np.unique(np.stack([p_machine_N, score_N]), axis=1, return_inverse=True)
    return same[0].saying(p_machine_N, rank_N.reshape(-1).astype(np.float64))
