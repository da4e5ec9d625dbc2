"""Networks whose text path is a Llama-like language model, pretrained or randomly initialised.

`BesideLlama` is LMFusion's network (Shi et al., 2024, sec. 3.1), `Transfusion` the baseline (Zhou
et al., 2024).

Shape legend: V = vocabulary.
"""

from typing import Any

import torch
from typing_extensions import override

from modules.causal_lm.architecture.options import Option, check_source, make_config
from modules.lmfusion.network.block import Separation
from modules.lmfusion.network.fusion import FusionNetwork
from modules.lmfusion.network.patchify import PatchifierBuilder
from modules.lmfusion.network.text_model import TextParts, TextType, weight_dtype
from modules.weights.origin import read_model


class BesideLlama(FusionNetwork):
    """Image experts next to a pretrained Llama-like language model.

    Args:
        source: Local folder or hub id.
        patchifier: Builds the patchifier from the model's width.
        separation: What images have separately: deep, shallow or none.
        freeze_text: Whether the language model is frozen.
        activation_checkpointing: Whether blocks are recomputed in backward.
        revision: Branch, tag or commit on the hub.
        text_dtype: Dtype of the weights of a frozen language model, independent of the precision of
            trained ones; None for the same.

    Raises:
        ValueError: `text_dtype` is given for weights that are not frozen.
    """

    def __init__(
        self,
        source: str,
        patchifier: PatchifierBuilder,
        separation: Separation = "deep",
        freeze_text: bool = True,
        activation_checkpointing: bool = False,
        revision: str = "main",
        text_dtype: TextType = None,
    ):
        if text_dtype is not None and not freeze_text:
            raise ValueError(
                f"text_dtype is {text_dtype}, but freeze_text is false: weights that are trained "
                "have the trainer's precision; leave text_dtype out"
            )
        text = load(source, revision, text_dtype)
        super().__init__(
            text, patchifier(text.width), separation, freeze_text, activation_checkpointing
        )
        self.source, self.revision = source, revision

    @override
    def read_base(self) -> Any:
        from transformers import AutoModelForCausalLM

        dtype = self.embed.weight.dtype
        return read_model(AutoModelForCausalLM, self.source, revision=self.revision, dtype=dtype)


class Transfusion(FusionNetwork):
    """The baseline: one tower for both modalities, from scratch (Zhou et al., 2024).

    Args:
        vocab_size: V.
        options: Options of transformers' LlamaConfig.
        patchifier: Builds the patchifier from the model's width.
        activation_checkpointing: Whether blocks are recomputed in backward.
    """

    def __init__(
        self,
        vocab_size: int,
        options: dict[str, Option],
        patchifier: PatchifierBuilder,
        activation_checkpointing: bool = False,
    ):
        text = scratch(vocab_size, options)
        super().__init__(text, patchifier(text.width), "none", False, activation_checkpointing)


def load(source: str, revision: str = "main", text_dtype: TextType = None) -> TextParts:
    """The parts of a pretrained model.

    Args:
        source: Local folder or hub id.
        revision: Branch, tag or commit on the hub.
        text_dtype: Dtype of its weights.

    Raises:
        FileNotFoundError: The local folder does not exist.
        ValueError: The model is not Llama-like.
    """
    from transformers import AutoModelForCausalLM

    check_source(source)
    return TextParts.of(
        read_model(AutoModelForCausalLM, source, revision=revision, dtype=weight_dtype(text_dtype))
    )


def scratch(vocab_size: int, options: dict[str, Option]) -> TextParts:
    """The parts of a randomly initialised Llama.

    Args:
        vocab_size: V.
        options: Options of transformers' LlamaConfig.
    """
    from transformers import AutoModelForCausalLM

    config = make_config("llama", {"vocab_size": vocab_size, **options})
    return TextParts.of(AutoModelForCausalLM.from_config(config, dtype=torch.get_default_dtype()))
