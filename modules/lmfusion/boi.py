"""When to draw: the loss that trains BOI's output row next to a frozen language model.

The text loss on prefix text trains only that row, and the language model's head over the whole
prefix would be expensive. So the loss is estimated from all positions that an image follows and
from equally many others, sampled uniformly and weighted so that the expected gradient is that of
the whole text loss.

Shape legend: K = sampled positions, W = prefix text, T = all text positions, D = width,
V = vocabulary without BOI.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from modules.lmfusion.loss import class_of
from modules.lmfusion.network.mask import PREFIX, Runs


@dataclass(frozen=True)
class PrefixSample:
    """Sampled positions of the prefix text.

    Attributes:
        index_K: Their indices.
        weight_K: Number of positions that each represents.
        num_positions: Positions with a label, sampled or not.
    """

    index_K: Tensor
    weight_K: Tensor
    num_positions: int

    def to(self, device: torch.device) -> "PrefixSample":
        """The same on a device; does not synchronise with it."""
        index_K, weight_K = (
            values.to(device, non_blocking=True) for values in (self.index_K, self.weight_K)
        )
        return PrefixSample(index_K, weight_K, self.num_positions)


def sample_positions(runs: Runs, row_D: Sequence[int]) -> PrefixSample:
    """All positions that an image follows, and equally many others; computed on the CPU.

    Args:
        runs: The segments of the batch.
        row_D: Row of each document, below 0 for one without labels.
    """
    kind, document, length = (
        torch.tensor(list(numbers), dtype=torch.int64)
        for numbers in (runs.kind_N, runs.document_N, runs.length_N)
    )
    following = torch.cat([document[1:], document.new_full((1,), -1)])
    is_prefix = kind == PREFIX
    is_real = (torch.tensor(list(row_D), dtype=torch.int64) >= 0)[document[is_prefix]]
    is_followed = (following == document)[is_prefix]
    end = length[is_prefix].cumsum(0)
    boi = (end - 1)[is_real & is_followed]
    # the last position of a run has no token as its label
    num_others = ((length[is_prefix] - 1) * is_real).cumsum(0)
    total = int(num_others[-1]) if len(num_others) else 0
    picked = torch.randint(max(1, total), (max(1, len(boi)) if total else 0,))
    run = torch.searchsorted(num_others, picked, right=True)
    others = (end - 1)[run] - (num_others[run] - picked)
    weight = torch.ones(len(boi) + len(others), dtype=torch.float32)
    weight[len(boi) :] = total / max(1, len(others))
    return PrefixSample(torch.cat([boi, others]), weight, total + len(boi))


def boi_loss(
    logits: Callable[[Tensor], Tensor], prefix_WD: Tensor, label_T: Tensor, chosen: PrefixSample
) -> Tensor:
    """Estimate of the sum of the text loss over the prefix, in nats, float32.

    Args:
        logits: Scores [K, V + 1] of the token ids and, last, of BOI, from hidden states.
        prefix_WD: Last hidden states of the prefix.
        label_T: Token ids and `BOI`; those of the prefix come first.
        chosen: The sampled positions.
    """
    logits_KV = logits(prefix_WD[chosen.index_K])
    label_K = class_of(label_T[chosen.index_K], logits_KV.shape[-1] - 1)
    nats_K = F.cross_entropy(logits_KV.float(), label_K, reduction="none")
    return (nats_K * chosen.weight_K).sum()
