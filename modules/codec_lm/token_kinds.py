"""Which kinds of tokens a model of files finds hard.

Shape legend: B = rows, L = row length, K = kinds.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from modules.codec_lm.rules import Rules

NOTHING = -1
"""Of positions without a label, and of pieces of files that were cut."""


def label_kinds(rules: Rules, label_BL: Tensor, position_BL: Tensor) -> Tensor:
    """Number in `rules.kinds` of what each label says, [B, L].

    Args:
        rules: Of the vocabulary.
        label_BL: What follows each position, -100 where nothing does.
        position_BL: Position inside the file, whose first token is the start token.
    """
    found = torch.full_like(label_BL, NOTHING)
    for row, start, labels in pieces(label_BL, position_BL):
        named = rules.token_kinds(labels)
        found[row, start : start + len(named)] = torch.tensor(named, dtype=found.dtype)
    return found.to(label_BL.device)


def pieces(label_BL: Tensor, position_BL: Tensor) -> Iterator[tuple[int, int, list[int]]]:
    """Row, first position and labels of every file, or cut piece of one, in packed rows."""
    for row, (labels, positions) in enumerate(
        zip(label_BL.tolist(), position_BL.tolist(), strict=True)
    ):
        starts = [at for at, position in enumerate(positions) if position == 0]
        for start, stop in zip(starts, [*starts[1:], len(labels)], strict=True):
            yield row, start, [label for label in labels[start:stop] if label >= 0]


def whole_files(rules: Rules, label_BL: Tensor, position_BL: Tensor) -> Iterator[bytes]:
    """The sequences of the files that stand uncut in packed rows."""
    for _, _, labels in pieces(label_BL, position_BL):
        if labels and labels[-1] == rules.end and rules.token_kinds(labels):
            yield rules.sequence(labels)


def kind_sums(nats_BL: Tensor, kind_BL: Tensor, num_kinds: int) -> Tensor:
    """Nats and labels of each kind, float64 [2, K]."""
    is_known_BL = kind_BL != NOTHING
    number, nats = kind_BL[is_known_BL], nats_BL[is_known_BL].double()
    sums = torch.zeros(2, num_kinds, dtype=torch.float64, device=nats.device)
    sums[0].index_add_(0, number, nats)
    sums[1].index_add_(0, number, torch.ones_like(nats))
    return sums
