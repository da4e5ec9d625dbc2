"""Attention over interleaved text and images: as a mask, and as a plan that needs no mask.

A document is split into runs: text before its first image (prefix), later text, images. The keys of
a run are all positions of the document up to the run's end: one contiguous slice.

Shape legend: S = positions of all documents (text, then patches), N = runs of a group,
Q = longest run of a group, K = most keys of a run of a group.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

PREFIX, LATER, IMAGE = 0, 1, 2
"""Kinds of runs: text before the first image of its document, text after that, an image."""
TEXT = -1
"""Image id of a text position."""
KEY_STEP = 64
"""Runs share a group if their numbers of keys agree when rounded up to this step."""


def hybrid_mask(position_S: Tensor, document_S: Tensor, image_id_S: Tensor) -> Tensor:
    """Causal inside each document, bidirectional inside each image (Transfusion, sec. 3, fig. 4).

    The plan below gives the same attention without it. For tests, figures and small inputs.

    Args:
        position_S: Position inside the document.
        document_S: Index of the document.
        image_id_S: Index of the image, or `TEXT`.

    Returns:
        Boolean [S, S]; entry [i, j] is True where query i may look at key j.
    """
    same_document_SS = document_S[:, None] == document_S[None, :]
    causal_SS = position_S[:, None] >= position_S[None, :]
    same_image_SS = (image_id_S[:, None] == image_id_S[None, :]) & (image_id_S != TEXT)[:, None]
    return same_document_SS & (causal_SS | same_image_SS)


@dataclass(frozen=True)
class Runs:
    """The segments of a batch in sequence order, document by document.

    Attributes:
        kind_N: `PREFIX`, `LATER` or `IMAGE`.
        document_N: Index of the document.
        length_N: Positions of the run.
    """

    kind_N: Sequence[int]
    document_N: Sequence[int]
    length_N: Sequence[int]

    def longest(self) -> int:
        """Positions of the longest document; 0 without documents."""
        total: Counter[int] = Counter()
        for document, length in zip(self.document_N, self.length_N, strict=True):
            total[document] += length
        return max(total.values(), default=0)

    def lengths(self, kind: int) -> list[int]:
        """Lengths of the runs of one kind, in order."""
        return [n for k, n in zip(self.kind_N, self.length_N, strict=True) if k == kind]


@dataclass(frozen=True)
class Group:
    """Runs of similar size, computed in one call.

    Attributes:
        num_runs: N.
        num_queries: Q.
        num_keys: K.
        key_index: Position (0 .. S-1) of each of the N * K keys.
        mask: Boolean [N, 1, Q or 1, K], True = may attend; None where every query sees every key.
    """

    num_runs: int
    num_queries: int
    num_keys: int
    key_index: Tensor
    mask: Tensor | None


@dataclass(frozen=True)
class Plan:
    """How the live positions (later text and patches) of a batch attend.

    Attributes:
        groups: Runs by size.
        query_index: Live position of every slot of all groups; live position 0 in padding.
        inverse: Slot of every live position.
    """

    groups: tuple[Group, ...]
    query_index: Tensor
    inverse: Tensor

    @staticmethod
    def of(runs: Runs, device: torch.device | str = "cpu", live_prefix: bool = False) -> "Plan":
        """Lay out the runs of a batch; computed on the CPU, does not synchronise with the device.

        Args:
            runs: The segments.
            device: Device of the indices.
            live_prefix: Whether prefixes are live as well, with their queries in the plan.
        """
        kind = torch.tensor(list(runs.kind_N), dtype=torch.int64)
        document = torch.tensor(list(runs.document_N), dtype=torch.int64)
        length = torch.tensor(list(runs.length_N), dtype=torch.int64)
        where = run_starts(kind, length)
        start = length.cumsum(0) - length  # in the sequence of all documents
        is_first = torch.ones_like(document, dtype=torch.bool)
        is_first[1:] = document[1:] != document[:-1]
        document_start = start[is_first][is_first.cumsum(0) - 1] if len(kind) else start
        num_keys = start + length - document_start

        order_S = spread(where, length)
        live = (kind != PREFIX) | live_prefix
        num_prefix = int(length[~live].sum())
        bucket = size_bucket(kind, length, num_keys)
        groups, query_index = [], []
        inverse = torch.empty(int(length[live].sum()), dtype=torch.int64)
        num_slots = 0
        for size in bucket[live].unique().tolist():
            member = (live & (bucket == size)).nonzero().squeeze(1)
            slot = torch.arange(int(length[member].max()))
            is_real = slot < length[member, None]
            query = (where[member, None] - num_prefix + slot).where(is_real, 0)
            slot_index = torch.arange(query.numel()).view_as(query) + num_slots
            inverse[query[is_real]] = slot_index[is_real]
            query_index.append(query.flatten())
            num_slots += query.numel()

            key = torch.arange(int(num_keys[member].max()))
            is_key = key < num_keys[member, None]
            index = order_S[(document_start[member, None] + key).where(is_key, 0)].flatten()
            mask = visible_keys(kind[member], num_keys[member], length[member], slot, key)
            groups.append(
                Group(
                    len(member),
                    len(slot),
                    len(key),
                    index.to(device, non_blocking=True),
                    None if mask is None else mask.to(device, non_blocking=True),
                )
            )
        flat = torch.cat(query_index) if query_index else inverse
        return Plan(tuple(groups), flat.to(device), inverse.to(device))


def run_starts(kind_N: Tensor, length_N: Tensor) -> Tensor:
    """First position of each run among all: prefixes, then later text, then images."""
    order = kind_N.argsort(stable=True)
    sorted_length = length_N[order]
    first = torch.empty_like(length_N)
    first[order] = sorted_length.cumsum(0) - sorted_length
    return first


def spread(first_N: Tensor, length_N: Tensor) -> Tensor:
    """first, first + 1, ... for each run, one after another: [S]."""
    start = length_N.cumsum(0) - length_N
    return torch.arange(int(length_N.sum())) + (first_N - start).repeat_interleave(length_N)


def size_bucket(kind_N: Tensor, length_N: Tensor, num_keys_N: Tensor) -> Tensor:
    """Group key of each run: equal for runs of similar size, [N]."""
    width = torch.ceil(torch.log2(length_N.double().clamp(min=1))).long()
    size = torch.where(kind_N == IMAGE, length_N, width)
    steps = -(-num_keys_N // KEY_STEP)
    return (steps * (int(size.max()) + 1 if len(size) else 1) + size) * 3 + kind_N


def visible_keys(
    kind_N: Tensor, num_keys_N: Tensor, length_N: Tensor, query_Q: Tensor, key_K: Tensor
) -> Tensor | None:
    """Mask of the keys that the queries of a group's runs see; None if all see all."""
    is_image = bool((kind_N == IMAGE).all())
    last_N1 = num_keys_N[:, None] - 1
    if not is_image:  # query q sees keys up to its own; the last `length` keys are the run's
        last_N1 = (num_keys_N - length_N)[:, None] + query_Q
        last_N1 = last_N1.minimum(num_keys_N[:, None] - 1)
    mask = key_K <= last_N1[:, None, :, None]
    return None if bool(mask.all()) else mask
