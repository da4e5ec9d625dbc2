"""One transformer block with a text path and an image path (LMFusion, sec. 3.1, eq. 7-13).

Every token goes through the weights of its own modality; softmax attention is over the joint
sequence. Tokens are kept ordered by modality, so that each path works on a contiguous slice.

Shape legend: W = prefix text, L = later text, P = patches, U = L + P live positions,
S = W + U, D = width, H = query heads, G = key-value heads, K = head size.
"""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from typing_extensions import override

from modules.lmfusion.network.attention import run_attention
from modules.lmfusion.network.kv_cache import Cache
from modules.lmfusion.network.mask import Plan
from modules.nn.document_attention import Documents, document_attention
from modules.nn.norm import memory_efficient

Separation = Literal["deep", "shallow", "none"]
"""What images have separately: norms, attention and FFN; norm and FFN; nothing."""

NORMS = ("input_layernorm", "post_attention_layernorm")


class States(NamedTuple):
    """Residual stream, ordered by modality.

    Attributes:
        prefix_WD: Text before the first image of its document; nothing trainable affects it.
        later_LD: All other text.
        patch_PD: Image patches.
    """

    prefix_WD: Tensor
    later_LD: Tensor
    patch_PD: Tensor


@dataclass(frozen=True)
class Layout:
    """What every block needs to know of a batch.

    Attributes:
        cos_SK: Cosines of the rotary embedding for prefix, later text and patches.
        sin_SK: Sines, likewise.
        prefix: The documents of the prefix text; None without a prefix.
        plan: How the live positions attend.
    """

    cos_SK: Tensor
    sin_SK: Tensor
    prefix: Documents | None
    plan: Plan

    def rotary(self, start: int, length: int) -> tuple[Tensor, Tensor]:
        """Cosines and sines of some positions."""
        return self.cos_SK[start : start + length], self.sin_SK[start : start + length]


Projected = tuple[Tensor, Tensor, Tensor]
"""Queries [T, H, K], keys [T, G, K] and values [T, G, K] of some positions."""


class ModalityPath:
    """The path of one modality through a block, with the weights of up to two layers.

    Args:
        attention: Llama-like layer with the norm, Q, K, V and O.
        ffn: Layer with the second norm and the FFN.
    """

    def __init__(self, attention: Any, ffn: Any):
        self.attention = attention
        self.ffn = ffn

    def project(self, x_TD: Tensor, rotary: tuple[Tensor, Tensor]) -> Projected:
        """Norm, Q, K and V, and the rotary embedding of queries and keys."""
        inner = self.attention.self_attn
        x_TD = fitted(self.attention.input_layernorm(x_TD), inner.q_proj)
        return rotate(self.heads(inner.q_proj, x_TD), *rotary), *self.keys(x_TD, rotary)

    def project_keys(self, x_TD: Tensor, rotary: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """The same without Q."""
        inner = self.attention.self_attn
        return self.keys(fitted(self.attention.input_layernorm(x_TD), inner.k_proj), rotary)

    def keys(self, x_TD: Tensor, rotary: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """K and V of normalised positions, and the rotary embedding of keys."""
        inner = self.attention.self_attn
        key, value = (self.heads(linear, x_TD) for linear in (inner.k_proj, inner.v_proj))
        return rotate(key, *rotary), value

    def heads(self, linear: Any, x_TD: Tensor) -> Tensor:
        """Output of a linear layer, by head."""
        out: Tensor = linear(x_TD)
        return out.unflatten(-1, (-1, self.attention.self_attn.head_dim))

    def finish(self, x_TD: Tensor, attended_THK: Tensor) -> Tensor:
        """O and FFN, each added to the residual stream."""
        output = self.attention.self_attn.o_proj
        x_TD = x_TD + output(fitted(attended_THK.flatten(1), output))
        inner_TD = fitted(self.ffn.post_attention_layernorm(x_TD), self.ffn.mlp.down_proj)
        return x_TD + self.ffn.mlp(inner_TD)


def fitted(x_TD: Tensor, layer: Any) -> Tensor:
    """The input in the dtype of a layer's weight; autocast, if on, casts by itself."""
    dtype = layer.weight.dtype
    if x_TD.dtype == dtype or not dtype.is_floating_point:  # quantised layers cast by themselves
        return x_TD
    return x_TD if torch.is_autocast_enabled(x_TD.device.type) else x_TD.to(dtype)


def rotate(x_THK: Tensor, cos_TK: Tensor, sin_TK: Tensor) -> Tensor:
    """Rotary position embedding (Su et al., 2021), in the half-split layout of Llama."""
    first, second = x_THK.chunk(2, dim=-1)
    turned = torch.cat((-second, first), dim=-1)
    cos, sin = (x[:, None].to(x_THK.dtype) for x in (cos_TK, sin_TK))
    return x_THK * cos + turned * sin


class ImageFFN(nn.Module):
    """Norm and FFN of images under shallow separation, copied from a text layer."""

    def __init__(self, text: Any):
        super().__init__()
        self.post_attention_layernorm = deepcopy(text.post_attention_layernorm)
        self.mlp = deepcopy(text.mlp)


@dataclass(frozen=True)
class Extension:
    """New positions and the cache of the earlier ones.

    Attributes:
        cache: Keys and values; those of the new positions are written into it.
        slot_BQ: Slots of the new positions.
        mask_B1QM: Slots that each new position sees.
        rotary: Cosines and sines of the new positions, [T, K] each.
    """

    cache: Cache
    slot_BQ: Tensor
    mask_B1QM: Tensor
    rotary: tuple[Tensor, Tensor]

    def block(self, index: int, path: ModalityPath, x_TD: Tensor, scale: float) -> Tensor:
        """One block over new positions of one modality, [T, D]."""
        query, key, value = path.project(x_TD, self.rotary)
        shape = self.slot_BQ.shape
        row_B1 = torch.arange(shape[0], device=x_TD.device)[:, None]
        keys, values = self.cache.key_NBMGK[index], self.cache.value_NBMGK[index]
        keys[row_B1, self.slot_BQ] = key.unflatten(0, shape).to(keys.dtype)
        values[row_B1, self.slot_BQ] = value.unflatten(0, shape).to(values.dtype)
        used = self.mask_B1QM.shape[-1]
        q = query.unflatten(0, shape).transpose(1, 2)
        k, v = (x[:, :used].transpose(1, 2).to(q.dtype) for x in (keys, values))
        if k.shape[1] != q.shape[1]:
            k, v = (x.repeat_interleave(q.shape[1] // x.shape[1], dim=1) for x in (k, v))
        out = F.scaled_dot_product_attention(q, k, v, self.mask_B1QM, scale=scale)
        return path.finish(x_TD, out.transpose(1, 2).flatten(0, 1))


class Block(nn.Module):
    """A text layer and the image experts next to it.

    Args:
        text: A Llama-like decoder layer; becomes part of this block.
        separation: Which of its parts are copied for images.
        checkpoint_activations: Whether live positions are recomputed in backward; the prefix never
            is, since nothing of it is saved.
    """

    def __init__(self, text: nn.Module, separation: Separation, checkpoint_activations: bool):
        super().__init__()
        for name in NORMS:
            setattr(text, name, memory_efficient(getattr(text, name)))
        self.text = text
        copies: dict[str, Callable[[Any], nn.Module]] = {"deep": deepcopy, "shallow": ImageFFN}
        own = copies.get(separation)
        self.image: nn.Module | None = None if own is None else own(text)
        if self.image is not None:
            self.image.to(torch.get_default_dtype()).requires_grad_(True)
        self.separation = separation
        self.checkpoint_activations = checkpoint_activations

    @property
    def text_path(self) -> ModalityPath:
        """The path of text tokens."""
        return ModalityPath(self.text, self.text)

    @property
    def image_path(self) -> ModalityPath:
        """The path of patches."""
        attention = self.image if self.separation == "deep" else self.text
        return ModalityPath(attention, self.text if self.image is None else self.image)

    @property
    def scale(self) -> float:
        """Factor on the attention scores."""
        return float(self.text.self_attn.scaling)  # type: ignore[union-attr, arg-type]

    @override
    def forward(self, x: States, layout: Layout, finish_prefix: bool) -> States:
        """One block over a batch.

        Args:
            x: Residual stream.
            layout: Positions and runs.
            finish_prefix: Whether the prefix is read after this block; otherwise only its keys and
                values are computed.
        """
        prefix_WD, key_WGK, value_WGK = self.prefix(x.prefix_WD, layout, finish_prefix)
        if len(x.later_LD) + len(x.patch_PD) == 0:
            return States(prefix_WD, x.later_LD, x.patch_PD)
        arguments = (x.later_LD, x.patch_PD, key_WGK, value_WGK, layout)
        if self.checkpoint_activations and torch.is_grad_enabled():
            return States(prefix_WD, *checkpoint(self.live, *arguments, use_reentrant=False))
        return States(prefix_WD, *self.live(*arguments))

    @torch.no_grad()
    def prefix(self, x_WD: Tensor, layout: Layout, finish: bool) -> tuple[Tensor, Tensor, Tensor]:
        """Prefix text: nothing trainable affects it, so nothing is saved for backward.

        Returns:
            The residual stream after this block (unchanged without `finish`), keys and values.
        """
        rotary = layout.rotary(0, len(x_WD))
        if not finish or layout.prefix is None:
            return x_WD, *self.text_path.project_keys(x_WD, rotary)
        query, key, value = self.text_path.project(x_WD, rotary)
        attended = document_attention(query, key, value, layout.prefix, self.scale)
        return self.text_path.finish(x_WD, attended), key, value

    def live(
        self, later_LD: Tensor, patch_PD: Tensor, key_WGK: Tensor, value_WGK: Tensor, layout: Layout
    ) -> tuple[Tensor, Tensor]:
        """Later text and patches, over the keys and values of all positions before them."""
        W, L, P = len(key_WGK), len(later_LD), len(patch_PD)
        text = self.text_path.project(later_LD, layout.rotary(W, L))
        image = self.image_path.project(patch_PD, layout.rotary(W + L, P))
        query, key, value = (torch.cat(pair) for pair in zip(text, image, strict=True))
        key, value = torch.cat([key_WGK, key]), torch.cat([value_WGK, value])
        attended_UHK = run_attention(query, key, value, layout.plan, self.scale)
        # O of patches is trained and saves its input: a shared storage would keep the text's too
        later, patch = (part.clone() for part in attended_UHK.split([L, P]))
        return self.text_path.finish(later_LD, later), self.image_path.finish(patch_PD, patch)

    def extend(self, x_TD: Tensor, index: int, is_image: bool, extension: Extension) -> Tensor:
        """This block over new positions of one modality, with a cache of the earlier ones.

        Args:
            x_TD: New positions of all sequences, one sequence after another.
            index: Index of this block.
            is_image: Whether they are patches.
            extension: The new positions and the cache.
        """
        path = self.image_path if is_image else self.text_path
        return extension.block(index, path, x_TD, self.scale)
