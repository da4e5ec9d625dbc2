"""Texts as vectors whose inner product says how alike they are.

Shape legend: N = texts, B = texts of a batch, L = the longest of them in tokens, D = width.
"""

import json
import warnings
from functools import cached_property
from typing import Any, Literal, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from modules.decoding.index import digest
from modules.metrics.encoding import longest_input
from modules.nn.fingerprint import fingerprint
from modules.origin import read, read_tokenizer

NUM_ENDLESS = 10**6
"""A longest input above this is none: tokenizers say so where they know of no limit."""


class Encoder(Protocol):
    """Embeds texts."""

    def encode(self, texts: list[str]) -> NDArray[np.float32]:
        """Embeddings, [N, D]."""

    def fingerprint(self) -> str:
        """A text that changes when embeddings may have changed."""


class SentenceEncoder:
    """A transformer's last states as one vector: their mean over a text's tokens, as Contriever's.

    Args:
        path: Folder or hub id of a Hugging Face model with its tokenizer; of an encoder-decoder,
            the encoder is taken.
        pooling: The mean of the states, or the first of them, as some encoders are trained.
        normalise: Whether embeddings have length 1, so that products are cosines. The paper does
            not.
        longest: Tokens that are read of a text; what the model can read where None or more.
        batch_size: Texts side by side.
        device: Where the model runs.
        prefix: What stands before every text; some encoders are trained with one.

    Raises:
        ValueError: A number is below its least.
    """

    def __init__(
        self,
        path: str,
        pooling: Literal["mean", "first"] = "mean",
        normalise: bool = False,
        longest: int | None = None,
        batch_size: int = 32,
        device: str = "cpu",
        prefix: str = "",
    ):
        for name, value in (("longest", longest), ("batch_size", batch_size)):
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}.")
        self.path = path
        self.pooling = pooling
        self.normalise = normalise
        self.wanted = longest
        self.batch_size = batch_size
        self.device = torch.device(device)
        self.prefix = prefix

    @torch.no_grad()
    def encode(self, texts: list[str]) -> NDArray[np.float32]:
        """Embeddings, [N, D]; texts of like length are read together."""
        order = sorted(range(len(texts)), key=lambda number: len(texts[number]))
        embedding_ND = torch.empty(len(texts), self.model.config.hidden_size)
        num_cut = 0
        for at in range(0, len(order), self.batch_size):
            chosen = order[at : at + self.batch_size]
            tokens = self._tokens([texts[number] for number in chosen])
            num_cut += sum(bool(one.overflowing) for one in tokens.encodings or ())
            embedding_ND[chosen] = self._embedded(tokens.to(self.device)).cpu()
        if num_cut:
            warnings.warn(
                f"{num_cut} of {len(texts)} texts are longer than the {self.longest} tokens that"
                f" {self.path} reads; the rest of them is left out.",
                stacklevel=2,
            )
        return embedding_ND.numpy()

    def _tokens(self, texts: list[str]) -> Any:
        return self.tokenizer(
            [self.prefix + text for text in texts],
            padding=True,
            padding_side="right",
            truncation=self.longest is not None,
            max_length=self.longest,
            return_tensors="pt",
            return_token_type_ids=False,
        )

    def _embedded(self, tokens: Any) -> Tensor:
        state_BLD = self.model(**tokens).last_hidden_state
        mask_BL = tokens["attention_mask"].bool()
        is_first = self.pooling == "first"
        embedding_BD = state_BLD[:, 0] if is_first else mean_state(state_BLD, mask_BL)
        return F.normalize(embedding_BD, dim=1) if self.normalise else embedding_BD

    def fingerprint(self) -> str:
        """Of the weights, of the tokenizer and of what changes embeddings; not of the path."""
        tokenizer = self.tokenizer.backend_tokenizer.to_str()
        settings = json.dumps([self.pooling, self.normalise, self.longest, self.prefix])
        return digest([fingerprint(self.model.named_parameters()), tokenizer, settings])

    @cached_property
    def model(self) -> Any:
        """The transformer, read when first needed."""
        from transformers import AutoModel

        model = read(AutoModel, self.path, "encoder", dtype=torch.float32)
        model = model.get_encoder() if model.config.is_encoder_decoder else model
        return model.to(self.device).eval()

    @cached_property
    def tokenizer(self) -> Any:
        """Its tokenizer, read when first needed."""
        tokenizer = read_tokenizer(self.path)
        if tokenizer.pad_token is None:
            tokenizer.pad_token = tokenizer.eos_token
        return tokenizer

    @cached_property
    def longest(self) -> int | None:
        """Tokens that are read of a text; None where there is no limit."""
        limits = [self.wanted, longest_input(self.tokenizer, self.model)]
        return min((one for one in limits if one and one < NUM_ENDLESS), default=None)


def mean_state(state_BLD: Tensor, mask_BL: Tensor) -> Tensor:
    """Mean over the positions where the mask is True, [B, D]; zero where it is nowhere."""
    mask_BL1 = mask_BL[..., None]
    total_BD = state_BLD.masked_fill(~mask_BL1, 0.0).sum(1)
    return total_BD / mask_BL1.sum(1).clamp(min=1)
