"""What a summariser asks of its network.

Shape legend: B = summaries, C = article positions, S = summary positions, V = vocabulary,
D = width.
"""

from abc import abstractmethod
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn

Context = TypeVar("Context")
"""What a network remembers of articles."""


class Denoiser(nn.Module, Generic[Context]):
    """Predicts the tokens of a summary from their noised simplexes, the step and the article.

    Attributes:
        vocabulary: V, at least the size of the tokenizer.
        longest_summary: Largest S; None where any will do.
        longest_article: Largest C; None where any will do.
        width: D, of the embeddings of tokens.
        predicts_articles: Whether it has `article_logits`.
        stance_embedding: Of each stance that a summary shall have, the last of none; None in an
            unconditional network.
    """

    vocabulary: int
    longest_summary: int | None = None
    longest_article: int | None = None
    width: int
    predicts_articles = False

    def __init__(self) -> None:
        super().__init__()
        self.stance_embedding: nn.Embedding | None = None

    @abstractmethod
    def read(
        self, article_BC: Tensor, mask_BC: Tensor, condition_B: Tensor | None = None
    ) -> Context:
        """What is computed of articles once, whatever the step.

        Args:
            article_BC: Token ids.
            mask_BC: True where a token is real; each row padded on the right.
            condition_B: Stance that each summary shall have, negative for none; None for none at
                all. Matters only after `add_stance_embedding`.
        """

    def add_stance_embedding(self, num: int) -> None:
        """Make the network one conditioned on stances; before training it ignores them.

        Args:
            num: Number of stances.
        """
        self.stance_embedding = nn.Embedding(num + 1, self.width)
        nn.init.zeros_(self.stance_embedding.weight)

    def with_stances(self, article_BCD: Tensor, condition_B: Tensor | None) -> Tensor:
        """Embeddings of articles plus those of the stances that their summaries shall have."""
        if self.stance_embedding is None:
            return article_BCD
        last = self.stance_embedding.num_embeddings - 1
        if condition_B is None:
            condition_B = torch.full((len(article_BCD),), last, device=article_BCD.device)
        vector_BD = self.stance_embedding(condition_B.where(condition_B >= 0, last))
        return article_BCD + vector_BD[:, None].to(article_BCD.dtype)

    @abstractmethod
    def repeat(self, context: Context, num: int) -> Context:
        """Each article `num` times in a row: 0, 0, 1, 1, ..."""

    @abstractmethod
    def extended(self, context: Context, token_BW: Tensor, mask_BW: Tensor) -> Context:
        """What is computed of articles and of what is written of their summaries, clean.

        What is denoised next follows it.

        Args:
            context: Of the articles alone, from `read`.
            token_BW: Token ids of the beginnings of summaries.
            mask_BW: True where a token is written; each row padded on the right.
        """

    @abstractmethod
    def forward(self, share_BSV: Tensor, time_B: Tensor, context: Context) -> Tensor:
        """Logits of the clean tokens, [B, S, V], at summary positions only.

        Args:
            share_BSV: Shares of all tokens at each position; they sum to 1.
            time_B: t / T, in [0, 1].
            context: From `read`, or from `extended`.
        """

    def remember(self, context: Context) -> Context:
        """The same articles, of which each pass keeps what `article_logits` needs.

        Only for networks that predict articles.
        """
        raise NotImplementedError(f"{type(self).__name__} predicts no tokens of articles")

    def article_logits(self, context: Context, first: int, num: int) -> Tensor:
        """What the last pass predicts at positions of the article, [B, num, V], without gradients.

        Args:
            context: From `remember`.
            first: First of the positions.
            num: How many, so that nobody holds those of a whole article; fewer at its end. Values
                at padding are undefined.
        """
        raise NotImplementedError(f"{type(self).__name__} predicts no tokens of articles")

    def write_encoder(self, folder: Path, max_shard_size: str) -> None:
        """Write the network's model of transformers into a folder, where it is made of one."""

    def from_encoder(self, at: str) -> dict[str, Any] | None:
        """The config of this network on the model that `write_encoder` wrote; None without one.

        Args:
            at: Where it was written.
        """
        return None

    def check_lengths(self, article: int, summary: int) -> None:
        """Refuse lengths that the network has no positions for.

        Raises:
            ValueError: One is too long; names the option of the data.
        """
        limits: list[tuple[str, int, Any]] = [
            ("article_length", article, self.longest_article),
            ("summary_length", summary, self.longest_summary),
        ]
        for name, length, longest in limits:
            if longest is not None and length > longest:
                raise ValueError(
                    f"data.init_args.{name} is {length}, but the network has {longest} positions"
                )
