"""What each token of a document adds to its score."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from modules.causal_lm.network import LanguageModel
from modules.icl.gradients.documents import DocumentTable
from modules.icl.gradients.similarity import Directions, similarities
from modules.icl.selection.pool import CandidatePool
from modules.icl.selection.scoring import token_losses


@dataclass(frozen=True)
class TokenParts:
    """A document by its tokens.

    Attributes:
        document: Its index.
        tokens: What each reads as.
        parts: What passes through each in the cosine of document and task; they sum to it.
    """

    document: int
    tokens: list[str]
    parts: list[float]


def token_parts(
    language_model: LanguageModel,
    tokenizer: Any,
    pool: CandidatePool,
    direction: dict[str, Tensor],
    documents: Sequence[int],
    rows_per_batch: int,
) -> list[TokenParts]:
    """The tokens of some documents, each in a row of its own.

    Args:
        language_model: The model whose gradients are compared, in evaluation mode.
        tokenizer: Its tokenizer.
        pool: The documents.
        direction: The task's gradient in the parameters that count.
        documents: Indices of documents with a score.
        rows_per_batch: Documents that are read at once.
    """
    directions = Directions.of([direction])
    return [
        one
        for start in range(0, len(documents), rows_per_batch)
        for one in of_batch(
            language_model, tokenizer, pool, directions, documents[start : start + rows_per_batch]
        )
    ]


def of_batch(
    language_model: LanguageModel,
    tokenizer: Any,
    pool: CandidatePool,
    directions: Directions,
    documents: Sequence[int],
) -> Iterator[TokenParts]:
    """The tokens of the documents of a batch."""
    batch = pool.batch([[one] for one in documents])
    B, L = batch["token_BL"].shape
    table = DocumentTable(B, L, batch["length_N"])
    found = similarities(
        language_model, lambda: token_losses(language_model, batch).sum(), table, directions
    )
    own_N, (norm,) = found.square_N.double().sqrt().tolist(), directions.norms().tolist()
    facts = dict(zip(batch["document_N"], zip(batch["length_N"], own_N, strict=True), strict=True))
    for b, document in enumerate(documents):
        length, own = facts[document]
        product_L = found.products.product_BLQ[b, :length, 0].double()
        tokens = [readable(tokenizer, one) for one in batch["token_BL"][b, :length].tolist()]
        yield TokenParts(document, tokens, (product_L / (own * norm)).tolist())


def readable(tokenizer: Any, token: int) -> str:
    """A token as text; its name where it is white space or marks a start or an end."""
    text: str = tokenizer.decode([token])
    return text.strip() or str(tokenizer.convert_ids_to_tokens(token))
