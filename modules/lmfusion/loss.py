"""The LMFusion objective: L = L_text + lambda L_image (LMFusion, sec. 3.2; Transfusion, sec. 2.2).

Sums, not means: the system divides by the counts of a whole optimizer step.

Shape legend: T = text positions, V = vocabulary without BOI, I = images.
"""

import torch.nn.functional as F
from torch import Tensor

from modules.lmfusion.network.fusion import BOI

IGNORE = -100
"""Label of a position without a target."""


def text_loss(logits_TV: Tensor, label_T: Tensor) -> Tensor:
    """Sum of the next-element cross-entropy, in nats, float32.

    Args:
        logits_TV: Scores of the V token ids and, last, of BOI.
        label_T: Token id, `BOI` or `IGNORE`.
    """
    label_T = class_of(label_T, logits_TV.shape[-1] - 1)
    return F.cross_entropy(logits_TV.float(), label_T, ignore_index=IGNORE, reduction="sum")


def class_of(label_T: Tensor, vocab_size: int) -> Tensor:
    """Labels as columns of the logits; BOI's is the last."""
    return label_T.masked_fill(label_T == BOI, vocab_size)


def image_loss(predicted_ICHW: Tensor, target_ICHW: Tensor, weight_I: Tensor) -> Tensor:
    """Sum over images of the mean squared error of an image's elements (DDPM, eq. 14).

    The papers do not say whether elements are summed or averaged; only a mean fits lambda = 5.

    Args:
        predicted_ICHW: Predictions of the network.
        target_ICHW: Noise, velocity or clean latents, whichever the network predicts.
        weight_I: Weight of each image, 0 for context images.
    """
    error = F.mse_loss(predicted_ICHW.float(), target_ICHW.float(), reduction="none")
    return (error.flatten(1).mean(1) * weight_I).sum()
