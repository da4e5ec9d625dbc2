"""Models that a config names."""

from dataclasses import dataclass
from typing import Any, Literal

import torch

from modules.weights.origin import read_model, read_tokenizer

Kind = Literal["causal", "encoder_decoder"]
Dtype = Literal["auto", "float32", "bfloat16", "float16"]


@dataclass(frozen=True)
class Pretrained:
    """A frozen model of a Hugging Face folder or hub id.

    Attributes:
        path: Folder or hub id.
        kind: Causal, or encoder-decoder.
        dtype: Of its weights; `auto` takes the file's.
        device: Its device, such as cuda:1; that of the run if None.
        revision: Branch, tag or commit on the hub.
        attention: Implementation of attention in transformers, such as sdpa or eager; transformers'
            default for the model if None.
        tokenizer: Folder or hub id; the model's if None.
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
            FileNotFoundError: The local folder does not exist.
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
