"""Embeddings whose inner product measures similarity, by sentence-transformers.

Shape legend: N = texts, D = width.
"""

import json
import warnings
from functools import cached_property
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from modules.metrics.text.encoder_inputs import longest_input
from modules.prompting.index import digest
from modules.weights.fingerprint import fingerprint
from modules.weights.origin import located, reading

NUM_ENDLESS = 10**6
"""Above this a maximum length means no limit, as tokenizers write it."""


class TextEncoder(Protocol):
    """Embeds texts. If queries are embedded differently, it also has `encode_queries`."""

    def encode(self, texts: list[str]) -> NDArray[np.float32]:
        """Embeddings, [N, D]."""

    def fingerprint(self) -> str:
        """A text that changes when embeddings may have changed."""


class SentenceEncoder:
    """A model of sentence-transformers, or any transformers encoder with pooling on top.

    Pooling, normalisation and the prompts of queries and documents follow the model's own files.
    Where they specify nothing, as for Contriever (Han, 2023), the states are mean-pooled and no
    prompts are used.

    Args:
        path: Folder or hub id of the model with its tokenizer; of an encoder-decoder, the encoder
            is taken.
        pooling: The mean of the states, or the first of them; the model's own where None.
        normalise: Whether embeddings have length 1, so that products are cosines, even where the
            model's own files do not say so.
        longest: Maximum tokens of a text; the model's maximum if None or larger.
        batch_size: Texts of a batch.
        device: Where the model runs.
        prefix: Put before every text; the model's own prompts if None.
        query_prefix: Put before queries instead, such as "query: ".

    Raises:
        ValueError: A number is below its minimum.
    """

    def __init__(
        self,
        path: str,
        pooling: Literal["mean", "first"] | None = None,
        normalise: bool = False,
        longest: int | None = None,
        batch_size: int = 32,
        device: str = "cpu",
        prefix: str | None = None,
        query_prefix: str | None = None,
    ):
        for name, value in (("longest", longest), ("batch_size", batch_size)):
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}.")
        self.path = path
        self.pooling = pooling
        self.normalise = normalise
        self.wanted = longest
        self.batch_size = batch_size
        self.device = device
        self.prefix = prefix
        self.query_prefix = prefix if query_prefix is None else query_prefix

    def encode(self, texts: list[str]) -> NDArray[np.float32]:
        """Embeddings of documents, [N, D]."""
        return self._encoded(self.model.encode_document, texts, self.prefix)

    def encode_queries(self, texts: list[str]) -> NDArray[np.float32]:
        """Embeddings of queries, [N, D]."""
        return self._encoded(self.model.encode_query, texts, self.query_prefix)

    def _encoded(self, encode: Any, texts: list[str], prefix: str | None) -> NDArray[np.float32]:
        self._warn_of_cut(texts, prefix or "")
        embedding_ND = encode(
            texts,
            prompt=prefix,
            batch_size=self.batch_size,
            normalize_embeddings=self.normalise,
            show_progress_bar=False,
        )
        width = int(self.model.get_embedding_dimension())
        return np.asarray(embedding_ND, np.float32).reshape(len(texts), width)

    def _warn_of_cut(self, texts: list[str], prefix: str) -> None:
        """Warn of texts that are truncated."""
        most = self.longest
        if most is None:
            return
        long = [prefix + one for one in texts if len(prefix) + len(one) >= most - 2]
        tokens = self.tokenizer(long, truncation=False, verbose=False)["input_ids"] if long else []
        num_cut = sum(len(ids) > most for ids in tokens)
        if num_cut:
            warnings.warn(
                f"{num_cut} of {len(texts)} texts are longer than the {most} tokens that"
                f" {self.path} reads; the rest of them is left out.",
                stacklevel=4,
            )

    def fingerprint(self) -> str:
        """Of weights, tokenizer and every setting that changes embeddings, not of the path."""
        modules: list[tuple[str, Any]] = [
            (type(one).__name__, getattr(one, "get_config_dict", dict)()) for one in self.model
        ]
        settings = [self.normalise, self.longest, self.prefix, self.query_prefix]
        config = json.dumps([modules, self.model.prompts, settings], sort_keys=True, default=str)
        tokenizer = self.tokenizer.backend_tokenizer.to_str()
        return digest([fingerprint(self.model.named_parameters()), tokenizer, config])

    @cached_property
    def model(self) -> Any:
        """The model, read when first needed.

        Raises:
            FileNotFoundError: The local folder does not exist.
        """
        import torch
        from sentence_transformers import SentenceTransformer
        from sentence_transformers.sentence_transformer.modules import Pooling

        source, exact = located(self.path, "encoder"), {"dtype": torch.float32}
        with reading(source, "encoder"):
            model = SentenceTransformer(source, device=self.device, model_kwargs=exact)
        if self.pooling is not None:
            body, own = model[0], Pooling(model[0].get_embedding_dimension(), self._mode)
            model = SentenceTransformer(modules=[body, own], prompts=model.prompts)
        if model.tokenizer.pad_token is None:
            model.tokenizer.pad_token = model.tokenizer.eos_token
        limits = [self.wanted, longest_input(model.tokenizer, model[0].model), model.max_seq_length]
        known = [int(n) for n in limits if n and n < NUM_ENDLESS]
        if known:
            model.max_seq_length = min(known)
        return model.to(self.device).eval()

    @property
    def _mode(self) -> str:
        return "cls" if self.pooling == "first" else "mean"

    @property
    def tokenizer(self) -> Any:
        """The model's tokenizer."""
        return self.model.tokenizer

    @property
    def longest(self) -> int | None:
        """Maximum tokens of a text; None without a limit."""
        found = self.model.max_seq_length
        return int(found) if found is not None and found < NUM_ENDLESS else None
