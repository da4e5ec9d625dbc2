"""Documents of text and images as one flat batch, ordered by modality.

Shape legend: D = documents, S = positions, T = text positions, I = images, P = patch positions,
N = runs of positions of one kind; C, H, W = channels, height and width of latents.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import torch
from numpy.typing import NDArray

from datamodules.stream.loader import Batch

BOI = -1
"""Begins an image."""
EOI = -2
"""Ends an image."""
IGNORE = -100
"""Label of a position that has no target."""
PATCH = -3
"""Placeholder of a patch while a batch is laid out."""
PREFIX, LATER, IMAGE = range(3)
"""Kinds of positions: text before the first image of its document, other text, patches."""
Array = NDArray[np.int64]


@dataclass(frozen=True)
class DocumentImage:
    """One image of a document.

    Attributes:
        latent_CHW: Clean latents, float32.
        is_target: Whether it is to be noised and predicted.
        is_first: Whether text follows and none precedes it.
    """

    latent_CHW: NDArray[np.float32]
    is_target: bool
    is_first: bool


ImageTextDocument = list[list[int] | DocumentImage]
"""Token ids, the start token first, and images, in order."""


def length(document: ImageTextDocument, num_patches: int) -> int:
    """Positions of a document; an image takes two more than it has patches, one more at the end."""
    ends_open = bool(document) and isinstance(document[-1], DocumentImage)
    return sum(len(s) if isinstance(s, list) else num_patches + 2 for s in document) - ends_open


def collate(
    documents: Sequence[ImageTextDocument],
    row_D: Sequence[int],
    num_patches: int,
    latent_shape: tuple[int, int, int],
) -> Batch:
    """Lay documents out one after the other and sort their positions by kind.

    Args:
        documents: What the batch holds, at least one.
        row_D: Id of each document; -1 for padding, which gets no target.
        num_patches: Patches of an image.
        latent_shape: Channels, height and width of latents.

    Returns:
        A `modules.lmfusion.batch.ImageTextBatch` without `step_targets`.
    """
    sequences = [_elements(document, num_patches) for document in documents]
    length_D = np.array([len(sequence) for sequence in sequences])
    element_S = np.fromiter(chain.from_iterable(sequences), np.int64, int(length_D.sum()))
    document_S = np.repeat(np.arange(len(documents)), length_D)
    first_S = np.repeat(np.cumsum(length_D) - length_D, length_D)
    is_real_D = np.asarray(row_D) >= 0

    begun_S = np.cumsum(element_S == BOI)
    is_later_S = begun_S > begun_S[first_S] - (element_S[first_S] == BOI)
    kind_S = np.where(element_S == PATCH, IMAGE, np.where(is_later_S, LATER, PREFIX))
    image_id_S = np.where(kind_S == IMAGE, begun_S - 1, -1)
    label_S = _labels(element_S, first_S)
    label_S[~is_real_D[document_S]] = IGNORE

    order_S = np.argsort(kind_S, kind="stable")
    num_prefix, num_later, _ = np.bincount(kind_S, minlength=3).tolist()
    text_T = order_S[: num_prefix + num_later]
    parts = [(s, d) for d, segments in enumerate(documents) for s in segments]
    images = [(s, bool(is_real_D[d])) for s, d in parts if isinstance(s, DocumentImage)]
    is_target_I = np.array([image.is_target and real for image, real in images], bool)
    is_first_I = np.array([image.is_first for image, _ in images], bool)
    counted_T = label_S[text_T] != IGNORE
    return {
        "token_T": torch.from_numpy(element_S[text_T]),
        "label_T": torch.from_numpy(label_S[text_T]),
        "position_S": torch.from_numpy((np.arange(len(element_S)) - first_S)[order_S]),
        "document_S": torch.from_numpy(document_S[order_S]),
        "image_id_S": torch.from_numpy(image_id_S[order_S]),
        "latent_ICHW": torch.from_numpy(_stack([image for image, _ in images], latent_shape)),
        "is_target_I": torch.from_numpy(is_target_I),
        "is_first_I": torch.from_numpy(is_first_I),
        "num_read": int((is_target_I & is_first_I).sum()),
        **_runs(kind_S, document_S),
        "num_prefix": num_prefix,
        "num_targets": {
            "text": int(counted_T.sum()),
            "later": int(counted_T[num_prefix:].sum()),
            "image": int(is_target_I.sum()),
        },
        "row_D": list(row_D),
    }


def _elements(document: ImageTextDocument, num_patches: int) -> list[int]:
    """The sequence of one document: ids, and each image as BOI, its patches, EOI.

    An EOI at the end of the document is left out: nothing attends to it.
    """
    image = [BOI, *[PATCH] * num_patches, EOI]
    elements = [e for s in document for e in (s if isinstance(s, list) else image)]
    return elements[:-1] if elements[-1] == EOI else elements


def _labels(element_S: Array, first_S: Array) -> Array:
    """The next element of the same document; `IGNORE` where that is a patch or missing."""
    label_S = np.append(element_S[1:], IGNORE)
    is_last_S = np.append(np.diff(first_S) != 0, True)
    label_S[is_last_S | (label_S == PATCH)] = IGNORE
    return label_S


def _runs(kind_S: Array, document_S: Array) -> dict[str, list[int]]:
    """Kind, document and length of each stretch of one kind, in the order of the sequence."""
    changes = np.flatnonzero((np.diff(kind_S) != 0) | (np.diff(document_S) != 0)) + 1
    start_N = np.concatenate([[0], changes])
    return {
        "kind_N": kind_S[start_N].tolist(),
        "document_N": document_S[start_N].tolist(),
        "length_N": np.diff(np.append(start_N, len(kind_S))).tolist(),
    }


def _stack(
    images: Sequence[DocumentImage], latent_shape: tuple[int, int, int]
) -> NDArray[np.float32]:
    """Latents of all images, [I, C, H, W]."""
    if not images:
        return np.zeros((0, *latent_shape), np.float32)
    return np.stack([image.latent_CHW for image in images])
