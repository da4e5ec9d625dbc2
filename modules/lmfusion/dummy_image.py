"""A dummy document for batches without an image.

Every trainable parameter must have a gradient on every rank: ranks that share gradients or weights
wait for each other, parameter by parameter. A clean image that is not predicted gives all of them
a gradient of zero.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from modules.lmfusion.loss import IGNORE
from modules.lmfusion.network.fusion import BOI
from modules.lmfusion.network.mask import IMAGE, LATER


def with_image(
    batch: Mapping[str, Any], shape: tuple[int, ...], num_patches: int
) -> dict[str, Any]:
    """The batch with one more document: BOI and an image as context; no target is added.

    Args:
        batch: A `batch.ImageTextBatch` without images.
        shape: (C, H, W) of a latent.
        num_patches: Patches of an image.
    """
    number = batch["document_N"][-1] + 1 if batch["document_N"] else 0
    latent_ICHW: Tensor = batch["latent_ICHW"]
    nothing = batch["is_target_I"].new_zeros(1)
    return {
        **batch,
        "token_T": appended(batch["token_T"], [BOI]),
        "label_T": appended(batch["label_T"], [IGNORE]),
        "position_S": appended(batch["position_S"], list(range(num_patches + 1))),
        "document_S": appended(batch["document_S"], [number] * (num_patches + 1)),
        "image_id_S": appended(batch["image_id_S"], [-1] + [0] * num_patches),
        "latent_ICHW": latent_ICHW.new_zeros(1, *shape),
        "is_target_I": nothing,
        "is_first_I": nothing,
        "kind_N": [*batch["kind_N"], LATER, IMAGE],
        "document_N": [*batch["document_N"], number, number],
        "length_N": [*batch["length_N"], 1, num_patches],
        "row_D": [*batch["row_D"], -1],
    }


def appended(values: Tensor, more: list[int]) -> Tensor:
    """The values, followed by more of their dtype."""
    return torch.cat([values, torch.tensor(more, dtype=values.dtype).to(values.device)])
