"""Batches of LMFusion: documents for training, prompts for `predict`."""

from typing import TypedDict

from torch import Tensor

from modules.lmfusion.generation.generate import DocumentPrompt


class ImageTextBatch(TypedDict):
    """Documents of text and images: what a datamodule yields to train LMFusion.

    T = text positions, I = images, n = patches of an image, P = I * n, S = T + P, N = runs. Text
    is ordered: first all prefix text (before the first image of its document; the whole of a
    document without images), document by document, then all later text. Every image is enclosed by
    -1 and -2; a -2 at a document's end is left out. Numbers are plain Python.

    Attributes:
        token_T: Token ids; -1 opens an image, -2 closes one. int64.
        label_T: What follows in the same document: a token id, or -1 where an image begins next;
            -100 where a patch follows and at a document's end.
        position_S: Position inside the document, patches counted; of text, then of patches.
        document_S: Number of the document.
        image_id_S: Number of the image, -1 for text.
        latent_ICHW: Clean latents, float32; pixels scaled to [-1, 1] are latents as well.
        is_target_I: True: to be noised and predicted; False: context.
        is_first_I: True where an image comes before its caption.
        num_read: Images to be predicted that come before their caption.
        kind_N: 0 prefix text, 1 later text, 2 image: the runs in sequence order.
        document_N: Number of each run's document.
        length_N: Positions of each run.
        num_prefix: Positions of prefix text.
        num_targets: Labels that are not -100 ("text"), those among later text ("later"), and
            images to be predicted ("image").
        step_targets: The same over all micro-batches of the optimizer step, on this rank.
        row_D: Number of each document, -1 for one that only fills the batch.
    """

    token_T: Tensor
    label_T: Tensor
    position_S: Tensor
    document_S: Tensor
    image_id_S: Tensor
    latent_ICHW: Tensor
    is_target_I: Tensor
    is_first_I: Tensor
    num_read: int
    kind_N: list[int]
    document_N: list[int]
    length_N: list[int]
    num_prefix: int
    num_targets: dict[str, int]
    step_targets: dict[str, int]
    row_D: list[int]


class PromptBatch(TypedDict):
    """Batch of `predict`; empty on a device without prompts left."""

    prompt: list[DocumentPrompt]
