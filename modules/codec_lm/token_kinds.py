"""Loss by kind of token.

Shape legend: B = rows, L = row length, K = kinds.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from modules.codec_lm.rules import Rules

NOTHING = -1
"""Kind of positions without a label, and of files that a row cuts off."""


def label_kinds(rules: Rules, label_BL: Tensor, position_BL: Tensor) -> Tensor:
    """Index into `rules.kinds` for each label, [B, L].

    Args:
        rules: Of the vocabulary.
        label_BL: Token after each position, -100 for none.
        position_BL: Position inside the file; the start token is position 0.
    """
    kind_BL = torch.full_like(label_BL, NOTHING)
    for row, start, labels in pieces(label_BL, position_BL):
        kinds = rules.token_kinds(labels)
        kind_BL[row, start : start + len(kinds)] = torch.tensor(kinds, dtype=kind_BL.dtype)
    return kind_BL.to(label_BL.device)


def pieces(label_BL: Tensor, position_BL: Tensor) -> Iterator[tuple[int, int, list[int]]]:
    """Row, first position and labels of every file, complete or cut, in packed rows."""
    for row, (labels, positions) in enumerate(
        zip(label_BL.tolist(), position_BL.tolist(), strict=True)
    ):
        starts = [at for at, position in enumerate(positions) if position == 0]
        for start, stop in zip(starts, [*starts[1:], len(labels)], strict=True):
            yield row, start, [label for label in labels[start:stop] if label >= 0]


def whole_files(rules: Rules, label_BL: Tensor, position_BL: Tensor) -> Iterator[bytes]:
    """Byte sequences of the complete files in packed rows."""
    for _, _, labels in pieces(label_BL, position_BL):
        if labels and labels[-1] == rules.end and rules.token_kinds(labels):
            yield rules.sequence(labels)


def kind_sums(nats_BL: Tensor, kind_BL: Tensor, num_kinds: int) -> Tensor:
    """Sum of nats and number of labels of each kind, float64 [2, K]."""
    is_known_BL = kind_BL != NOTHING
    kind, nats = kind_BL[is_known_BL], nats_BL[is_known_BL].double()
    sums = torch.zeros(2, num_kinds, dtype=torch.float64, device=nats.device)
    sums[0].index_add_(0, kind, nats)
    sums[1].index_add_(0, kind, torch.ones_like(nats))
    return sums
