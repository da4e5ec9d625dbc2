"""The batch of a summariser."""

from typing import TypedDict

from torch import Tensor


class ArticleBatch(TypedDict):
    """Articles and their summaries.

    B = articles, C = tokens of the longest article, S = summary positions. Outside training a batch
    may have fewer articles than the batch size, or none.

    Attributes:
        article_BC: Token ids, int64: start, tokens, end; padded on the right.
        article_mask_BC: True where a token is real.
        summary_BS: Token ids, int64: tokens, end, then padding.
        summary_mask_BS: True on tokens and the end.
        stance_B: Stance of the article, int64; -100 if unknown.
        summary_stance_B: Stance of the reference summary, int64; -100 if the data do not know it.
        asked_B: Stance that its summary shall have, int64; -100 if unknown.
        article_B, reference_B, id_B, origin_B: The texts, and what names them.
        cut_B: Tokens of each article that did not fit.
        num_targets: Number of `articles`, of `tokens` (real summary positions) and of `positions`;
            and `positions_K` for every K that divides S: those of the blocks of K up to the one
            that ends each summary.
        step_targets: The same over all micro-batches of the optimizer step, on this rank.
    """

    article_BC: Tensor
    article_mask_BC: Tensor
    summary_BS: Tensor
    summary_mask_BS: Tensor
    stance_B: Tensor
    summary_stance_B: Tensor
    asked_B: Tensor
    article_B: list[str]
    reference_B: list[str]
    id_B: list[str]
    origin_B: list[str]
    cut_B: list[int]
    num_targets: dict[str, int]
    step_targets: dict[str, int]
