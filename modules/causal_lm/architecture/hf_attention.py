"""Makes `modules.nn.document_attention` an attention of transformers, named "documents"."""

from typing import Any

import torch
from torch import Tensor, nn

from modules.nn.document_attention import Documents, document_attention


def register() -> None:
    """Register the implementation with transformers; safe to call again."""
    from transformers import AttentionInterface

    AttentionInterface.register("documents", attend)


@torch.compiler.disable
def attend(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    documents: Documents | None = None,
    **options: Any,
) -> tuple[Tensor, None]:
    """Attend inside documents, in the calling convention of transformers.

    Args:
        module: The calling layer; not used.
        query: [B, H, L, K].
        key: [B, G, L, K].
        value: [B, G, L, K].
        attention_mask: None; documents are given instead.
        scaling: Factor on the scores.
        dropout: Probability of dropping an attention weight.
        documents: Where the documents of the flattened rows lie.
        options: What else the architecture passes.

    Returns:
        [B, L, H, K], and None instead of the weights.

    Raises:
        ValueError: The architecture requires something that this attention does not do.
    """
    if documents is None:
        raise ValueError(
            "attention 'documents' was not told where documents lie: the architecture does not "
            "hand it on to its layers, or the model was called outside LanguageModel.generating"
        )
    if options.get("softcap") is not None:
        raise ValueError("attention 'documents' has no soft cap; set attention to 'eager'")
    window = options.get("sliding_window")
    if window is not None and window < documents.longest:
        raise ValueError(
            f"a document of {documents.longest} tokens is longer than the model's sliding window "
            f"of {window}; set attention to 'sdpa' or shorten the rows"
        )
    q, k, v = (x.transpose(1, 2).flatten(0, 1) for x in (query, key, value))
    out = document_attention(q, k, v, documents, scale=scaling, dropout=dropout)
    return out.unflatten(0, (query.shape[0], query.shape[2])), None
