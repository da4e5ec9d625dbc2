"""Models that a config names."""

from dataclasses import dataclass
from typing import Any, Literal

import torch

from modules.weights.origin import read_model, read_tokenizer

Kind = Literal["causal", "encoder_decoder"]
Dtype = Literal["auto", "float32", "bfloat16", "float16"]


@dataclass(frozen=True)
class Pretrained:
    """A model of a Hugging Face folder or hub id, for reading only.

    Attributes:
        path: Folder or hub id.
        kind: Whether there is an encoder.
        dtype: Of its weights; `auto` takes the file's.
        device: Where it stays, such as cuda:1; where the run is, if None.
        revision: Branch, tag or commit on the hub.
        attention: Implementation of attention in transformers, such as sdpa or eager; what
            transformers takes for the model by itself where None.
        tokenizer: Folder or hub id, where it is not the model's.
    """

    path: str
    kind: Kind = "causal"
    dtype: Dtype = "auto"
    device: str | None = None
    revision: str = "main"
    attention: str | None = None
    tokenizer: str | None = None

    def load(self) -> tuple[Any, Any]:
        """The model, in evaluation mode and without gradients, and its tokenizer.

        Raises:
            FileNotFoundError: A local folder that is not there.
        """
        from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM

        auto = AutoModelForCausalLM if self.kind == "causal" else AutoModelForSeq2SeqLM
        dtype = self.dtype if self.dtype == "auto" else getattr(torch, self.dtype)
        model = read_model(
            auto, self.path, revision=self.revision, dtype=dtype, attn_implementation=self.attention
        )
        model.requires_grad_(False).eval()
        if self.device is not None:
            model.to(self.device)
        return model, read_tokenizer(self.tokenizer or self.path)
