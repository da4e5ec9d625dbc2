"""The LMFusion network (Shi et al., 2024, sec. 3.1): a language model with image experts.

Shape legend: T = text positions, P = patches, S = T + P, I = images, n = patches of an image,
D = width, V = vocabulary of the language model; W, L as in `block`.
"""

import warnings
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from typing_extensions import override

from modules.lmfusion.network.block import Block, Extension, Layout, Separation, States
from modules.lmfusion.network.kv_cache import Cache, visible
from modules.lmfusion.network.mask import PREFIX, Plan, Runs
from modules.lmfusion.network.patchify import Patchifier, Skips
from modules.lmfusion.network.text_model import TextParts
from modules.nn.document_attention import Documents
from modules.nn.norm import memory_efficient

BOI, EOI = -1, -2
"""Ids of the tokens that open and close an image; all others are the tokenizer's."""


@dataclass(frozen=True)
class Predicted:
    """Output of the transformer.

    Attributes:
        noise_ICHW: Prediction for each image, in the shape of its latents.
        later_LD: Last hidden states of the later text, after the final norm.
        prefix_WD: Last hidden states of the prefix text, after the final norm; None if not asked
            for.
    """

    noise_ICHW: Tensor
    later_LD: Tensor
    prefix_WD: Tensor | None


class FusionNetwork(nn.Module):
    """A language model that also reads and generates images.

    The text path is the unchanged language model. While it is frozen, only the image experts, the
    patchifier and three vectors are trained: the embeddings of BOI and EOI, and BOI's row of the
    output layer. The first V logits stay those of the language model.

    Args:
        text: Parts of a Llama-like language model; they become part of this network.
        patchifier: Between latents and patch vectors.
        separation: What images have separately: deep (norms, attention, FFN), shallow (norm, FFN)
            or none (a dense transformer).
        freeze_text: Whether the language model is frozen.
        activation_checkpointing: Whether blocks are recomputed in backward.
    """

    def __init__(
        self,
        text: TextParts,
        patchifier: Patchifier,
        separation: Separation = "deep",
        freeze_text: bool = True,
        activation_checkpointing: bool = False,
    ):
        super().__init__()
        self.freeze_text = freeze_text
        self.embed = text.embed
        self.norm = memory_efficient(text.norm)
        self.head = text.head
        self.rotary = text.rotary
        self.num_positions = text.num_positions
        for part in (self.embed, self.norm, self.head, *text.layers):
            part.requires_grad_(not freeze_text)
        self.blocks = nn.ModuleList(
            Block(layer, separation, activation_checkpointing) for layer in text.layers
        )
        own_norm = deepcopy(self.norm).to(torch.get_default_dtype())
        self.image_norm = own_norm.requires_grad_(True)
        self.patchifier = patchifier
        row = self.embed.weight.detach().float()
        self.mark = nn.Parameter(row.mean(0).repeat(2, 1))
        self.boi_output = nn.Parameter(self.head.weight.detach().float().mean(0))

    def text_parameters(self) -> Iterator[nn.Parameter]:
        """The language model's own parameters, frozen or not."""
        for part in (self.embed, self.norm, self.head):
            yield from part.parameters()
        for block in self.blocks:
            yield from block.text.parameters()  # type: ignore[union-attr]

    def read_base(self) -> Any:
        """The model of transformers that this network stands on, read again; None without one."""
        return None

    def check_range(self, num_positions: int) -> None:
        """Warn of documents beyond the language model's max_position_embeddings."""
        if self.num_positions is not None and num_positions > self.num_positions:
            warnings.warn(
                f"a document takes {num_positions} positions, patches counted, but the language "
                f"model was made for {self.num_positions} (max_position_embeddings)",
                stacklevel=2,
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
    ) -> Predicted:
        """Predict the noise of every image and the hidden state of every later text position.

        Args:
            token_T: Token ids, `BOI` and `EOI`; prefix text first.
            position_S: Position inside the document, of text and then of patches.
            latent_ICHW: Noised latents; clean ones for context images.
            step_I: Diffusion step of each image, 0 for clean ones.
            runs: The segments of the batch.
            read_prefix: Whether the hidden states of the prefix are returned as well.
        """
        text = self.embed_text(token_T, runs)
        return self.predict(text, position_S, latent_ICHW, step_I, runs, read_prefix)

    def predict(
        self,
        text: tuple[Tensor, Tensor],
        position_S: Tensor,
        latent_ICHW: Tensor,
        step_I: Tensor,
        runs: Runs,
        read_prefix: bool,
    ) -> Predicted:
        """The same, from the embeddings of prefix and later text."""
        skips: Skips = []
        patch_PD = self.embed.weight.new_zeros(0, self.embed.embedding_dim)
        if len(latent_ICHW) > 0:
            patch_PD, skips = self.patchifier.down(latent_ICHW, step_I)
        x, layout = self.lay_out(text, position_S, patch_PD, runs)
        for index, block in enumerate(self.blocks):
            last = index == len(self.blocks) - 1
            x = block(x, layout, finish_prefix=read_prefix or not last)
        noise = latent_ICHW
        if len(latent_ICHW) > 0:
            noise = self.patchifier.up(self.image_norm(x.patch_PD), step_I, skips)
        prefix = self.norm(x.prefix_WD) if read_prefix else None
        return Predicted(noise, self.norm(x.later_LD), prefix)

    def extras(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        """Further arguments of `forward` from a batch, by name."""
        return {}

    def embed_text(self, token_T: Tensor, runs: Runs) -> tuple[Tensor, Tensor]:
        """Embeddings of prefix and later text; a trained language model has no prefix."""
        W = sum(runs.lengths(PREFIX)) if self.freeze_text else 0
        return self.embed(token_T[:W]), self.embed_live(token_T[W:])

    def lay_out(
        self, text: tuple[Tensor, Tensor], position_S: Tensor, patch_PD: Tensor, runs: Runs
    ) -> tuple[States, Layout]:
        """The initial states and the layout of a batch."""
        lengths = runs.lengths(PREFIX) if self.freeze_text else []
        plan = Plan.of(runs, patch_PD.device, live_prefix=not self.freeze_text)
        prefix = Documents.of(lengths, patch_PD.device) if lengths else None
        cos_1SK, sin_1SK = self.rotary(patch_PD, position_S[None])
        layout = Layout(cos_1SK[0], sin_1SK[0], prefix, plan)
        return States(*text, patch_PD), layout

    def embed_live(self, token: Tensor) -> Tensor:
        """Embeddings of tokens of any shape, `BOI` and `EOI` among them."""
        text = self.embed(token.clamp(min=0))
        mark = self.mark[(-1 - token).clamp(min=0)].to(text.dtype)
        return torch.where((token < 0)[..., None], mark, text)

    def empty_cache(self, num_sequences: int, num_slots: int) -> Cache:
        """A cache for `num_sequences` sequences of at most `num_slots` positions."""
        inner: Any = self.blocks[0].text.self_attn  # type: ignore[union-attr]
        num_heads = inner.k_proj.out_features // inner.head_dim
        shape = (num_sequences, num_slots, num_heads, inner.head_dim)
        return Cache.empty(len(self.blocks), shape, self.mark)

    @torch.no_grad()
    def extend_text(self, token_BQ: Tensor, cache: Cache, count_B: Tensor | None = None) -> Tensor:
        """Hidden states [B, Q, D], after the final norm, of text that follows the cached positions.

        Args:
            token_BQ: Token ids, `BOI` and `EOI`; right-padded.
            cache: Extended by the new positions.
            count_B: Number of tokens of each sequence, without padding; None for all.
        """
        return self.extend_embedded(self.embed_live(token_BQ), cache, count_B)

    def extend_embedded(self, x_BQD: Tensor, cache: Cache, count_B: Tensor | None) -> Tensor:
        """The same, from embeddings."""
        hidden_BQD = self._extend(x_BQD.flatten(0, 1), x_BQD.shape[1], False, cache)
        cache.length_B += x_BQD.shape[1] if count_B is None else count_B
        return self.norm(hidden_BQD)

    @torch.no_grad()
    def extend_image(self, latent_BCHW: Tensor, step_B: Tensor, cache: Cache, keep: bool) -> Tensor:
        """Predictions for one image at the end of each sequence.

        Args:
            latent_BCHW: Noised or clean latents.
            step_B: Their diffusion steps.
            cache: Without `keep` its length is unchanged, so that the next call overwrites the
                patches.
            keep: Whether the image is complete: later positions will see it.
        """
        patch_PD, skips = self.patchifier.down(latent_BCHW, step_B)
        num = self.patchifier.num_patches
        hidden_BQD = self._extend(patch_PD, num, True, cache)
        if keep:
            cache.length_B += num
        return self.patchifier.up(self.image_norm(hidden_BQD.flatten(0, 1)), step_B, skips)

    def _extend(self, x_TD: Tensor, num: int, is_image: bool, cache: Cache) -> Tensor:
        slot_BQ = cache.slots(num)
        cos_1TK, sin_1TK = self.rotary(x_TD, slot_BQ.flatten()[None])
        mask = visible(slot_BQ, is_image)
        extension = Extension(cache, slot_BQ, mask, (cos_1TK[0], sin_1TK[0]))
        for index, block in enumerate(self.blocks):
            x_TD = block.extend(x_TD, index, is_image, extension)  # type: ignore[operator]
        return x_TD.unflatten(0, slot_BQ.shape)

    def logits(self, hidden_TD: Tensor) -> Tensor:
        """Logits of the next token, [T, V + 1]: the language model's, then BOI's."""
        text_TV = self.head(hidden_TD)
        boi_T1 = hidden_TD @ self.boi_output.to(hidden_TD.dtype)[:, None]
        return torch.cat([text_TV, boi_T1.to(text_TV.dtype)], dim=-1)
