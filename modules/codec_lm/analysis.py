"""Which classes of bytes a model of files finds hard.

Shape legend: B = rows, L = row length, K = classes.
"""

import torch
from torch import Tensor

from modules.codec_lm.classes import CLASSES, classes, vote
from modules.codec_lm.tokens import TokenGrammar

FINISH = "finish"
"""Class of the token that ends a file."""
NAMES = (*CLASSES, FINISH)
NOTHING = -1
"""Of positions without a label, and of pieces of files that were cut."""


def label_classes(tokens: TokenGrammar, label_BL: Tensor, position_BL: Tensor) -> Tensor:
    """Number in `NAMES` of what each label says, [B, L]; a token's class is that of most bytes.

    Args:
        tokens: The grammar over the vocabulary.
        label_BL: What follows each position, -100 where nothing does.
        position_BL: Position inside the file, whose first token is the start token.
    """
    found = torch.full_like(label_BL, NOTHING)
    for row, (labels, positions) in enumerate(
        zip(label_BL.tolist(), position_BL.tolist(), strict=True)
    ):
        starts = [at for at, position in enumerate(positions) if position == 0]
        for start, stop in zip(starts, [*starts[1:], len(labels)], strict=True):
            file = [label for label in labels[start:stop] if label >= 0]
            named = file_classes(tokens, file)
            found[row, start : start + len(named)] = torch.tensor(named, dtype=found.dtype)
    return found.to(label_BL.device)


def file_classes(tokens: TokenGrammar, file: list[int]) -> list[int]:
    """The class of each token of a file; none where it is no beginning of a file."""
    words = [tokens.words[token] or b"" for token in file]
    try:
        of_bytes = iter(classes(tokens.grammar, b"".join(words)))
    except ValueError:
        return []
    named = [[next(of_bytes) for _ in word] for word in words]
    return [NAMES.index(vote(some) if some else FINISH) for some in named]


def class_sums(nats_BL: Tensor, class_BL: Tensor) -> Tensor:
    """Nats and labels of each class, float64 [2, K]."""
    is_known_BL = class_BL != NOTHING
    number, nats = class_BL[is_known_BL], nats_BL[is_known_BL].double()
    sums = torch.zeros(2, len(NAMES), dtype=torch.float64, device=nats.device)
    sums[0].index_add_(0, number, nats)
    sums[1].index_add_(0, number, torch.ones_like(nats))
    return sums
