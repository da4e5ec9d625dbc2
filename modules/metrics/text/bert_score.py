"""BERTScore: how well the tokens of two texts match in the eyes of an encoder.

Zhang et al. (2020). Context-aware decoding reports the precision of a summary against its ARTICLE,
not against the reference summary.

Shape legend: N = pairs of texts, B = pairs of a batch, I, J = tokens of candidate and reference,
D = width of the encoder, V = vocabulary.
"""

from collections.abc import Sequence
from functools import cached_property
from math import log
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from modules.metrics.text.encoder_inputs import (
    MASK,
    Row,
    batches,
    best_device,
    longest_input,
    padded,
    tokenised,
)
from modules.weights.origin import read, read_tokenizer


class BertScores(NamedTuple):
    """Scores of pairs, float32, at most 1.

    Attributes:
        precision_N: How well each candidate's tokens are matched by the reference's.
        recall_N: How well each reference's tokens are matched by the candidate's.
        f1_N: Their harmonic mean.
        num_cut: Texts, candidates and references, of which the encoder could not hold the end.
        num_empty: Pairs with a text of which nothing counts; they score 0.
    """

    precision_N: Tensor
    recall_N: Tensor
    f1_N: Tensor
    num_cut: int
    num_empty: int


class Embedded(NamedTuple):
    """Texts of a batch.

    Attributes:
        vector_BID: Embeddings of their tokens, of length 1.
        may_match_BI: True where a token may be the match of another.
        weight_BI: How much a token counts; 0 where it is padding or special.
    """

    vector_BID: Tensor
    may_match_BI: Tensor
    weight_BI: Tensor


class BertScore:
    """BERTScore with any encoder; nothing is loaded before the first score.

    Args:
        path: Folder or hub name of an encoder with its tokenizer; of an encoder-decoder, the
            encoder is taken.
        layer: Hidden states that are compared, 0 = embeddings; 17 of roberta-large is what is
            commonly reported for English.
        idf: Whether rare tokens count more, by how many of the references of a call have them.
        match_special: Whether the tokens around a text (such as [CLS]) may be the match of
            another, as in the authors' code; they never count themselves.
        max_length: Tokens of a text; None takes what the encoder holds.
        batch_size: Pairs that are encoded together.
        device: Where the encoder runs; None takes CUDA if there is one.
        revision: Branch, tag or commit on the hub.
    """

    def __init__(
        self,
        path: str,
        layer: int,
        idf: bool = False,
        match_special: bool = True,
        max_length: int | None = None,
        batch_size: int = 32,
        device: str | None = None,
        revision: str = "main",
    ):
        self.path = path
        self.layer = layer
        self.idf = idf
        self.match_special = match_special
        self.max_length = max_length
        self.batch_size = batch_size
        self.device = best_device(device)
        self.revision = revision

    @cached_property
    def tokenizer(self) -> Any:
        """The encoder's tokenizer."""
        return read_tokenizer(self.path, revision=self.revision)

    @cached_property
    def model(self) -> Any:
        """The encoder.

        Raises:
            ValueError: It has no such layer.
        """
        from transformers import AutoModel

        model: Any = read(AutoModel, self.path, "encoder", revision=self.revision)
        if not 0 <= self.layer <= model.config.num_hidden_layers:
            layers = model.config.num_hidden_layers
            raise ValueError(f"layer of {self.path} must be within [0, {layers}], got {self.layer}")
        encoder = model.get_encoder() if model.config.is_encoder_decoder else model
        return encoder.to(self.device).float().eval()

    @torch.no_grad()
    def score(self, candidates: Sequence[str], references: Sequence[str]) -> BertScores:
        """Score pairs.

        Args:
            candidates: Texts to be scored.
            references: What each is compared with: a reference, or the article it sums up.

        Raises:
            ValueError: There is no pair, not one reference for each candidate, or `idf` has fewer
                than two references to weigh tokens by.
        """
        if len(candidates) != len(references) or not candidates:
            raise ValueError(f"{len(candidates)} candidates for {len(references)} references.")
        ours, num_ours = self._tokens(candidates)
        theirs, num_theirs = self._tokens(references)
        weight_V = self._token_weights(theirs)
        pairs = zip(ours, theirs, strict=True)
        kept = [i for i, pair in enumerate(pairs) if all(_counts(row, weight_V) for row in pair)]
        score_N2 = torch.zeros(len(ours), 2, dtype=torch.float32)
        if kept:
            matched = self._match([ours[i] for i in kept], [theirs[i] for i in kept], weight_V)
            score_N2[kept] = matched
        precision_N, recall_N = score_N2.unbind(1)
        f1_N = harmonic_mean(precision_N, recall_N)
        num_empty = len(ours) - len(kept)
        return BertScores(precision_N, recall_N, f1_N, num_ours + num_theirs, num_empty)

    def _match(self, ours: list[Row], theirs: list[Row], weight_V: Tensor) -> Tensor:
        """Precision and recall of pairs, [N, 2], batch by batch."""
        score_N2 = torch.zeros(len(ours), 2, dtype=torch.float32)
        pairs = zip(ours, theirs, strict=True)
        lengths = [max(len(row["input_ids"]) for row in pair) for pair in pairs]
        for batch in batches(lengths, self.batch_size):
            one, other = (
                self._embed([rows[i] for i in batch], weight_V) for rows in (ours, theirs)
            )
            score_N2[batch] = torch.stack(greedy_match(one, other), 1).cpu()
        return score_N2

    def _tokens(self, texts: Sequence[str]) -> tuple[list[Row], int]:
        """Tokens of texts, and how many texts were cut."""
        limit = longest_input(self.tokenizer, self.model)
        limit = limit if self.max_length is None else min(limit, self.max_length)
        texts = [text.strip() for text in texts]
        if self._is_byte_level:  # a space before the first word, as in the authors' code
            texts = [text and f" {text}" for text in texts]
        return tokenised(self.tokenizer, texts, limit)

    @property
    def _is_byte_level(self) -> bool:
        backend = getattr(self.tokenizer, "backend_tokenizer", None)
        return "ByteLevel" in str(getattr(backend, "pre_tokenizer", ""))

    def _token_weights(self, references: list[Row]) -> Tensor:
        size = max(len(self.tokenizer), self.model.config.vocab_size)
        if not self.idf:
            return torch.ones(size, dtype=torch.float32)
        return rarity([row["input_ids"] for row in references], size)

    def _embed(self, rows: list[Row], weight_V: Tensor) -> Embedded:
        inputs, is_text_BI = padded(self.tokenizer, rows, self.device)
        hidden_BID = self.model(**inputs, output_hidden_states=True).hidden_states[self.layer]
        is_token_BI = inputs["attention_mask"].bool()
        weight_BI = weight_V.to(self.device)[inputs["input_ids"]] * is_text_BI
        may_match_BI = is_token_BI if self.match_special else is_text_BI
        return Embedded(F.normalize(hidden_BID.float(), dim=-1), may_match_BI, weight_BI)


def greedy_match(one: Embedded, other: Embedded) -> tuple[Tensor, Tensor]:
    """Precision and recall of each pair, [B] each (Zhang et al., 2020, sec. 3).

    Each token of a text is matched with the token of the other that it is most like, by cosine;
    the score is the weighted mean over the tokens.

    Args:
        one: Candidates.
        other: References.
    """
    cosine_BIJ = one.vector_BID @ other.vector_BID.mT
    never = -torch.inf
    best_BI = cosine_BIJ.masked_fill(~other.may_match_BI[:, None, :], never).amax(2)
    best_BJ = cosine_BIJ.masked_fill(~one.may_match_BI[:, :, None], never).amax(1)
    return weighted_mean(best_BI, one.weight_BI), weighted_mean(best_BJ, other.weight_BI)


def weighted_mean(value_BI: Tensor, weight_BI: Tensor) -> Tensor:
    """Mean over the last dimension."""
    return (value_BI * weight_BI).sum(1) / weight_BI.sum(1)


def harmonic_mean(precision_N: Tensor, recall_N: Tensor) -> Tensor:
    """F1; 0 where either is not above 0."""
    f1_N = 2 * precision_N * recall_N / (precision_N + recall_N)
    return torch.where((precision_N > 0) & (recall_N > 0), f1_N, 0.0)


def rarity(references: Sequence[Sequence[int]], vocab_size: int) -> Tensor:
    """Inverse document frequency of each token, log((M + 1) / (m + 1)), float32 [V].

    M references, m of which hold the token (Zhang et al., 2020, sec. 3, smoothed as said there).

    Raises:
        ValueError: There are fewer than two references, by which no token is rare.
    """
    if len(references) < 2:
        raise ValueError(f"idf needs at least 2 references, got {len(references)}.")
    count_V = torch.zeros(vocab_size, dtype=torch.float32)
    for ids in references:
        count_V[list(set(ids))] += 1
    return log(len(references) + 1) - torch.log(count_V + 1)


def _counts(row: Row, weight_V: Tensor) -> bool:
    """Whether a token of the text itself counts."""
    own = [i for i, special in zip(row["input_ids"], row[MASK], strict=True) if not special]
    return bool(own) and bool((weight_V[own] > 0).any())
