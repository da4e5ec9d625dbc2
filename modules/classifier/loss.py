"""The classifier's objective. Shape legend: W = windows, N = texts, C = classes."""

import torch
import torch.nn.functional as F
from torch import Tensor


def text_logits(logits_WC: Tensor, windows_N: list[int]) -> Tensor:
    """Logits of texts: the mean over the windows of each, float32 [N, C].

    Args:
        logits_WC: Logits of windows, text after text.
        windows_N: Windows of each text; a text without any gets NaN.
    """
    count_N = torch.tensor(windows_N, device=logits_WC.device)
    which_W = torch.repeat_interleave(count_N, output_size=len(logits_WC))
    sum_NC = logits_WC.new_zeros(len(windows_N), logits_WC.shape[1], dtype=torch.float32)
    return sum_NC.index_add(0, which_W, logits_WC.float()) / count_N[:, None]


def classification_loss(
    logits_NC: Tensor, label_N: Tensor, weight_C: Tensor | None = None
) -> Tensor:
    """Sum over texts of -w_y log p(y), in nats, float32.

    The trainer divides by the number of texts, not by the sum of the weights: with weights
    N / (C N_c) each class counts as if it had N / C texts.

    Args:
        logits_NC: Scores of the classes.
        label_N: Class of each text.
        weight_C: Weight of an error on each class; 1 if None.
    """
    return F.cross_entropy(logits_NC.float(), label_N, weight_C, reduction="sum")
