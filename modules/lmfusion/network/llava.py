"""Image experts next to a frozen LLaVA (LLaVAFusion; LMFusion, sec. 4.3 and table 2).

Images to be understood are routed as in LLaVA: vision tower and projector give the embeddings of
placeholder tokens, which stay on the text path. Only generated images, and the context of editing,
use the new tower. The paper does not describe the routing; this is our reading of "in parallel",
which leaves LLaVA's outputs unchanged.

Shape legend: T = text positions, K = placeholder tokens, B = sequences, Q = new positions of each,
D = width.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from typing_extensions import override

from modules.causal_lm.architecture.options import check_source
from modules.lmfusion.network.block import Separation
from modules.lmfusion.network.fusion import FusionNetwork, Predicted
from modules.lmfusion.network.kv_cache import Cache
from modules.lmfusion.network.mask import Runs
from modules.lmfusion.network.patchify import PatchifierBuilder
from modules.lmfusion.network.text_model import TextParts, TextType, weight_dtype
from modules.weights.origin import read, read_model

VisionInputs = Mapping[str, Tensor]
"""Outputs of LLaVA's processor for images: `pixel_values`, and `image_sizes` if it gives them."""


class Vision(nn.Module):
    """Vision tower and projector of a LLaVA, frozen and in evaluation mode.

    Args:
        body: LLaVA without its output layer; its language model is removed.
    """

    def __init__(self, body: Any):
        super().__init__()
        body.language_model = None
        self.body = body.requires_grad_(False).eval()
        self.placeholder = int(body.config.image_token_id)

    @torch.no_grad()
    def forward(self, vision_inputs: VisionInputs) -> Tensor:
        """Features of all images, one after another, [K, D]."""
        features = self.body.get_image_features(**vision_inputs, return_dict=True).pooler_output
        return torch.cat(list(features))

    @override
    def train(self, mode: bool = True) -> "Vision":
        return super().train(False)


class BesideLlava(FusionNetwork):
    """Image experts next to a pretrained LLaVA or LLaVA-NeXT with a Llama-like language model.

    Args:
        source: Local folder or hub id.
        patchifier: Builds the patchifier from the model's width.
        separation: What generated images have separately: deep, shallow or none.
        activation_checkpointing: Whether blocks are recomputed in backward.
        revision: Branch, tag or commit on the hub.
        text_dtype: Dtype of LLaVA's weights, independent of the precision of others.
    """

    def __init__(
        self,
        source: str,
        patchifier: PatchifierBuilder,
        separation: Separation = "deep",
        activation_checkpointing: bool = False,
        revision: str = "main",
        text_dtype: TextType = None,
    ):
        model = load_llava(source, revision, text_dtype)
        text = TextParts.of(model)
        super().__init__(text, patchifier(text.width), separation, True, activation_checkpointing)
        self.vision = Vision(model.model)
        self.source, self.revision = source, revision

    @override
    def read_base(self) -> Any:
        from transformers import AutoModelForImageTextToText

        dtype = self.embed.weight.dtype
        return read_model(
            AutoModelForImageTextToText, self.source, revision=self.revision, dtype=dtype
        )

    @override
    def forward(
        self,
        token_T: Tensor,
        position_S: Tensor,
        latent_ICHW: Tensor,
        step_I: Tensor,
        runs: Runs,
        read_prefix: bool = False,
        vision_inputs: VisionInputs | None = None,
    ) -> Predicted:
        """Predict the noise of every image and the hidden state of every later text position.

        Args:
            token_T: Token ids, `BOI` and `EOI`; prefix text first. Placeholders of images to be
                understood are LLaVA's image tokens, as many as an image has features.
            position_S: Position inside the document, of text and then of patches.
            latent_ICHW: Noised latents of images on the new tower; clean ones for context.
            step_I: Diffusion step of each of them, 0 for clean ones.
            runs: The segments of the batch.
            read_prefix: Whether the hidden states of the prefix are returned as well.
            vision_inputs: Images to be understood, in the order of their placeholders in `token_T`.
        """
        text = self.embed_text(token_T, runs)
        if vision_inputs is not None:
            sizes = [len(part) for part in text]
            prefix_WD, later_LD = self.fill(torch.cat(text), token_T, vision_inputs).split(sizes)
            text = prefix_WD, later_LD
        return self.predict(text, position_S, latent_ICHW, step_I, runs, read_prefix)

    @override
    def extras(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        """The batch's key `vision_inputs`, if it has one: images to be understood."""
        return {"vision_inputs": batch["vision_inputs"]} if "vision_inputs" in batch else {}

    def fill(self, text_D: Tensor, token: Tensor, vision_inputs: VisionInputs) -> Tensor:
        """Embeddings of any shape, with those of placeholders replaced by image features.

        Raises:
            ValueError: Numbers of features and placeholders differ.
        """
        is_placeholder = token == self.vision.placeholder
        feature_KD = self.vision(vision_inputs)
        if len(feature_KD) != int(is_placeholder.sum()):
            raise ValueError(
                f"images to be understood have {len(feature_KD)} features, but there are "
                f"{int(is_placeholder.sum())} placeholder tokens ({self.vision.placeholder})"
            )
        return text_D.masked_scatter(is_placeholder[..., None], feature_KD.to(text_D.dtype))

    @override
    @torch.no_grad()
    def extend_text(
        self,
        token_BQ: Tensor,
        cache: Cache,
        count_B: Tensor | None = None,
        vision_inputs: VisionInputs | None = None,
    ) -> Tensor:
        """Hidden states [B, Q, D], after the final norm, of text that follows the cached positions.

        Args:
            token_BQ: Token ids, `BOI` and `EOI`; right-padded.
            cache: Extended by the new positions.
            count_B: Number of tokens of each sequence, without padding; None for all.
            vision_inputs: Images to be understood, in the order of their placeholders.
        """
        x_BQD = self.embed_live(token_BQ)
        if vision_inputs is not None:
            x_BQD = self.fill(x_BQD, token_BQ, vision_inputs)
        return self.extend_embedded(x_BQD, cache, count_B)


def load_llava(source: str, revision: str, text_dtype: TextType) -> Any:
    """Read a LLaVA with transformers.

    Args:
        source: Local folder or hub id.
        revision: Branch, tag or commit on the hub.
        text_dtype: Dtype of its weights.

    Raises:
        FileNotFoundError: The local folder does not exist.
        ValueError: The model is no LLaVA; the message names its type.
    """
    from transformers import AutoConfig, AutoModelForImageTextToText

    check_source(source)
    kind = read(AutoConfig, source, revision=revision).model_type
    if kind not in ("llava", "llava_next"):
        raise ValueError(f"{source} is a {kind}, not a LLaVA; for other models use BesideLlama")
    return read_model(
        AutoModelForImageTextToText, source, revision=revision, dtype=weight_dtype(text_dtype)
    )
