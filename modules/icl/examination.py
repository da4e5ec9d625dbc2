"""Whether documents are read in a batch as they are alone, by every kernel and in every dtype.

The same documents are read one at a time, in padded rows and in packed rows; losses, products of
gradients and their lengths must be the same up to rounding. The code is that of a selection.

Shape legend: B = rows, L = row length, N = documents.
"""

from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from itertools import accumulate
from typing import get_args

import torch
from torch import Tensor

from modules.causal_lm.architecture.options import Attention
from modules.causal_lm.loss import IGNORE
from modules.causal_lm.network import LanguageModel
from modules.icl.gradients.parameters import chosen_parameters
from modules.icl.gradients.similarity import loss_gradient
from modules.icl.selection.options import SelectionOptions
from modules.icl.selection.pool import PoolBatch
from modules.icl.selection.scoring import Columns, GradientScores, token_losses

KERNELS: tuple[Attention, ...] = get_args(Attention)
DTYPES = (torch.float32, torch.bfloat16)
LENGTHS = (16, 5, 9, 7, 3, 2)
"""Tokens of the documents: the first two fill a packed row, and so do the others."""
PACKED = [[0, 1], [2, 3, 4, 5]]
PADDED = [[n] for n in range(len(LENGTHS))]
STEPS = {"loss": 8, "product": 16, "norm": 16}
"""Rounding steps of a dtype that a quantity may differ by: those of one layer after another add up,
as sums are taken in another order; gradients pass through twice as many."""


@dataclass(frozen=True)
class KernelCheck:
    """What one check found.

    Attributes:
        text: In a line.
        is_sound: Whether both agree; None where it could not be checked.
    """

    text: str
    is_sound: bool | None


@dataclass(frozen=True)
class DocumentScores:
    """Scores of the documents under one way of reading.

    Attributes:
        loss_N: Loss of each document, without gradients, in nats.
        product_N: Product of its gradient with the direction, over the length of the direction.
        norm_N: Length of its gradient.
    """

    loss_N: Tensor
    product_N: Tensor
    norm_N: Tensor

    def differences(self, alone: "DocumentScores") -> dict[str, float]:
        """The largest relative difference of each quantity; products by the lengths of both."""
        scales = {"loss": alone.loss_N, "product": alone.norm_N, "norm": alone.norm_N}
        found = {}
        for name, scale_N in scales.items():
            off_N = getattr(self, f"{name}_N") - getattr(alone, f"{name}_N")
            found[name] = float((off_N.abs() / scale_N.abs()).max())
        return found


def examine(network: LanguageModel, options: SelectionOptions) -> Iterator[KernelCheck]:
    """Examine a model under every kernel and dtype; it stays as it is.

    Args:
        network: The model, in evaluation mode, whole on its device.
        options: Which parameters count.
    """
    for dtype in dtypes_of(network):
        model = deepcopy(network.model).to(dtype)
        for kernel in KERNELS:
            name = f"{str(dtype).removeprefix('torch.'):9} {kernel:17}"
            if reason := unavailable(kernel, model.device, dtype):
                yield KernelCheck(f"{name} not available: {reason}", None)
                continue
            try:
                read = LanguageModel(model, kernel).eval()
            except ValueError as error:  # the architecture is not exact under it, or has none
                yield KernelCheck(f"{name} not available: {error}", None)
                continue
            yield from compared(name, read, options, torch.finfo(dtype).eps)


def dtypes_of(network: LanguageModel) -> list[torch.dtype]:
    """Those of training, and the model's own; that alone where weights are quantised."""
    own: torch.dtype = network.model.dtype
    is_quantised = not all(p.is_floating_point() for p in network.parameters())
    return [own] if is_quantised else list(dict.fromkeys([*DTYPES, own]))


def unavailable(kernel: Attention, device: torch.device, dtype: torch.dtype) -> str:
    """Why a kernel cannot run here; nothing where it can."""
    from transformers.utils import is_flash_attn_2_available

    if kernel != "flash_attention_2":
        return ""
    if device.type != "cuda":
        return f"it needs a GPU, the model is on {device.type}"
    if dtype not in (torch.bfloat16, torch.float16):
        return "it needs bfloat16 or float16"
    return "" if is_flash_attn_2_available() else "the package flash-attn is not installed"


def compared(
    name: str, network: LanguageModel, options: SelectionOptions, step: float
) -> Iterator[KernelCheck]:
    """Documents alone against the same in padded and in packed rows.

    Args:
        name: Of kernel and dtype.
        network: The model under both.
        options: Which parameters count.
        step: Rounding step of the dtype.
    """
    documents = documents_of(network)
    names = chosen_parameters(network, options.embeddings, options.norms, options.last_layers)
    singles = [batch_of(documents, [[n]], network.model.device) for n in range(len(documents))]
    losses = [partial(summed, network, one) for one in singles]
    direction = loss_gradient(network, names, losses)
    scores = GradientScores(network, direction, with_norms=True)
    alone = reading(network, scores, singles)
    found = [
        reading(network, scores, [batch_of(documents, rows, network.model.device)])
        for rows in (PADDED, PACKED)
    ]
    differences = [one.differences(alone) for one in found]
    for quantity, steps in STEPS.items():
        off, limit = max(one[quantity] for one in differences), steps * step
        is_sound = off <= limit  # no number is not
        verdict = "ok" if is_sound else "differs"
        measured = f"{quantity:7} {verdict:7} {off:.1e}, at most {limit:.1e}"
        yield KernelCheck(f"{name} {measured} ({steps} rounding steps)", is_sound)


def documents_of(network: LanguageModel) -> list[Tensor]:
    """Documents of random tokens, as long as the model reads."""
    rng = torch.Generator().manual_seed(0)
    longest = network.readable or max(LENGTHS)
    high = network.vocab_size
    return [torch.randint(high, (min(one, longest),), generator=rng) for one in LENGTHS]


def batch_of(
    documents: Sequence[Tensor], rows: Sequence[Sequence[int]], device: torch.device
) -> PoolBatch:
    """Rows of documents, and the padding behind them, as a pool makes them."""
    sizes = [sum(len(documents[n]) for n in row) for row in rows]
    L = max(sizes)
    token_BL, label_BL = torch.zeros(len(rows), L).long(), torch.full((len(rows), L), IGNORE)
    position_BL, length_N, document_N = torch.zeros(len(rows), L).long(), [], []
    for b, (row, size) in enumerate(zip(rows, sizes, strict=True)):
        parts = [*(documents[n] for n in row), torch.zeros(L - size).long()]
        starts = [0, *accumulate(map(len, parts))]
        for part, start in zip(parts, starts, strict=False):
            token_BL[b, start : start + len(part)] = part
            position_BL[b, start : start + len(part)] = torch.arange(len(part))
        for part, start in zip(parts[:-1], starts, strict=False):
            label_BL[b, start : start + len(part) - 1] = part[1:]
        length_N += [len(part) for part in parts if len(part)]
        document_N += [*row, *([-1] if size < L else [])]
    moved = (one.to(device) for one in (token_BL, label_BL, position_BL))
    token_BL, label_BL, position_BL = moved
    return PoolBatch(
        token_BL=token_BL,
        label_BL=label_BL,
        position_BL=position_BL,
        length_N=length_N,
        document_N=document_N,
    )


def summed(network: LanguageModel, batch: PoolBatch) -> Tensor:
    """Loss of all documents of a batch."""
    return token_losses(network, batch).sum()


def reading(
    network: LanguageModel, scores: GradientScores, batches: Sequence[PoolBatch]
) -> DocumentScores:
    """Scores of all documents, in their order."""
    size = float(scores.directions.norms())
    rows: dict[int, list[float]] = {}
    for batch in batches:
        columns: Columns = scores(batch)
        pairs = zip(columns["product"], columns["norm"], strict=True)
        plain = plain_losses(network, batch)
        for n, (product, norm) in zip(columns["document"], pairs, strict=True):
            rows[n] = [plain[n], product / size, norm]
    return DocumentScores(*torch.tensor([rows[n] for n in sorted(rows)]).double().unbind(1))


@torch.no_grad()
def plain_losses(network: LanguageModel, batch: PoolBatch) -> dict[int, float]:
    """Loss of each document, by its index, without gradients."""
    nats_T = token_losses(network, batch).double()
    parts = nats_T.split(batch["length_N"])
    return {n: float(part.sum()) for n, part in zip(batch["document_N"], parts, strict=True)}
