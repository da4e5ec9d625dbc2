"""What a summariser asks of its network.

Shape legend: B = summaries, C = article positions, S = summary positions, V = vocabulary.
"""

from abc import abstractmethod
from typing import Any, Generic, TypeVar

from torch import Tensor, nn

Context = TypeVar("Context")
"""What a network remembers of articles."""


class Denoiser(nn.Module, Generic[Context]):
    """Predicts the tokens of a summary from their noised simplexes, the step and the article.

    Attributes:
        vocabulary: V, at least the size of the tokenizer.
        longest_summary: Largest S; None where any will do.
        longest_article: Largest C; None where any will do.
    """

    vocabulary: int
    longest_summary: int | None = None
    longest_article: int | None = None

    @abstractmethod
    def read(self, article_BC: Tensor, mask_BC: Tensor) -> Context:
        """What is computed of articles once, whatever the step.

        Args:
            article_BC: Token ids.
            mask_BC: True where a token is real; each row padded on the right.
        """

    @abstractmethod
    def repeat(self, context: Context, num: int) -> Context:
        """Each article `num` times in a row: 0, 0, 1, 1, ..."""

    @abstractmethod
    def forward(self, share_BSV: Tensor, time_B: Tensor, context: Context) -> Tensor:
        """Logits of the clean tokens, [B, S, V], at summary positions only.

        Args:
            share_BSV: Shares of all tokens at each position; they sum to 1.
            time_B: t / T, in [0, 1].
            context: Of the articles, from `read`.
        """

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
