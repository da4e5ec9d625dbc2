"""Straightforward implementations of LMFusion: frozen weights, one stream, attention under a mask.

Three implementations of the same losses over the same weights, which ours is compared with:

- `autograd`: our own network, where autograd finds out what is frozen. Text before the first image
  goes through the graph like any other, and its loss is computed.
- `boolean`: every layer selects the tokens of each modality by a boolean mask and scatters the
  results back.
- `both`: every layer sends all tokens through both paths and selects one of the two results.

The last two keep tokens in the order of the documents and attend over padded rows, under a mask of
B x L x L.

Shape legend: S = positions, B = documents, L = longest document, T = text positions, D = width,
H = query heads, G = key-value heads, E = head size.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, cast

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.baselines.fusion_cases import FusionCase, weighted
from modules.lmfusion.loss import text_loss
from modules.lmfusion.network.block import Block, ModalityPath
from modules.lmfusion.network.fusion import FusionNetwork, Predicted
from modules.lmfusion.network.mask import hybrid_mask
from modules.lmfusion.system import LMFusion

Route = Literal["boolean", "both"]
Work = Callable[..., tuple[Tensor, ...]]
"""A part of a block with the weights of one modality, over some tokens."""


@dataclass(frozen=True)
class FusionRows:
    """Layout of a batch's tokens in padded rows, one row a document.

    Attributes:
        order_S: Index in the batch of each token, in the order of the documents.
        is_image_S: Whether it is a patch.
        row_BL: Token of each slot of the padded rows; token 0 in padding.
        slot_S: Slot of each token.
        mask_B1LL: True = may attend; a padding slot attends to itself.
    """

    order_S: Tensor
    is_image_S: Tensor
    row_BL: Tensor
    slot_S: Tensor
    mask_B1LL: Tensor

    @staticmethod
    def of(case: FusionCase) -> "FusionRows":
        """Compute the layout of a batch that is on the CPU."""
        names = ("position_S", "document_S", "image_id_S")
        position_S, document_S, image_S = (cast(Tensor, case.batch[name]) for name in names)  # type: ignore[literal-required]
        order_S = (document_S * (position_S.max() + 1) + position_S).argsort()
        num, length = int(document_S.max()) + 1, int(position_S.max()) + 1
        slot_S = document_S[order_S] * length + position_S[order_S]
        row = torch.zeros(num * length, dtype=torch.int64)
        row[slot_S] = torch.arange(len(order_S))

        padded = [torch.full((num * length,), -1) for _ in names]
        for field, values in zip(padded, (position_S, document_S, image_S), strict=True):
            field[slot_S] = values[order_S]
        documents = zip(*(field.view(num, length) for field in padded), strict=True)
        mask_BLL = torch.stack([hybrid_mask(*document) for document in documents])
        row_BL = row.view(num, length)
        return FusionRows(order_S, image_S[order_S] >= 0, row_BL, slot_S, mask_BLL[:, None])

    def to(self, device: torch.device | str) -> "FusionRows":
        """A copy on a device."""
        return FusionRows(**{name: tensor.to(device) for name, tensor in vars(self).items()})


def left_to_autograd(system: LMFusion) -> LMFusion:
    """The system without the shortcut for frozen text; its weights stay frozen."""
    system.fusion.freeze_text = False
    return system


def naive_loss(system: LMFusion, case: FusionCase, rows: FusionRows, route: Route) -> Tensor:
    """L_text over all text, plus lambda L_image."""
    out = predict(system.fusion, case, rows, route)
    image = system.image_total(case.batch, case.noised, out)
    text = text_loss(system.fusion.logits(out.later_LD), case.batch["label_T"])
    return weighted(system, case, image, text)


def predict(network: FusionNetwork, case: FusionCase, rows: FusionRows, route: Route) -> Predicted:
    """Noise of every image, and the last hidden states of all text in the order of the batch."""
    token_T, step_I = case.batch["token_T"], case.noised.step_I
    patch_PD, skips = network.patchifier.down(case.noised.latent_ICHW, step_I)
    x_SD = torch.cat([network.embed_live(token_T), patch_PD])[rows.order_S]
    cos_1SE, sin_1SE = network.rotary(x_SD, case.batch["position_S"][rows.order_S][None])
    rotary = cos_1SE[0], sin_1SE[0]
    for block in network.blocks:
        x_SD = naive_block(cast(Block, block), x_SD, rotary, rows, route)
    back_SD = torch.empty_like(x_SD).index_copy(0, rows.order_S, x_SD)
    text_TD, image_PD = back_SD.split([len(token_T), len(patch_PD)])
    noise = network.patchifier.up(network.image_norm(image_PD), step_I, skips)
    return Predicted(noise, network.norm(text_TD), None)


def naive_block(
    block: Block, x_SD: Tensor, rotary: tuple[Tensor, Tensor], rows: FusionRows, route: Route
) -> Tensor:
    """One block, with each modality's weights chosen by the route."""
    paths = block.text_path, block.image_path
    projecting = [project(path) for path in paths]
    query, key, value = ROUTES[route](rows.is_image_S, *projecting, x_SD, *rotary)
    attended_SHE = masked_attention(query, key, value, rows, block.scale)
    finishing = [finish(path) for path in paths]
    return ROUTES[route](rows.is_image_S, *finishing, x_SD, attended_SHE)[0]


def project(path: ModalityPath) -> Work:
    """Norm and projections to Q, K and V of one modality."""
    return lambda x, cos, sin: path.project(x, (cos, sin))


def finish(path: ModalityPath) -> Work:
    """Output projection and FFN of one modality."""
    return lambda x, attended: (path.finish(x, attended),)


def by_boolean_mask(
    is_image_S: Tensor, text: Work, image: Work, *inputs: Tensor
) -> tuple[Tensor, ...]:
    """Apply each modality's weights to its own tokens only."""
    is_text_S = ~is_image_S
    of_text = text(*(x[is_text_S] for x in inputs))
    of_images = image(*(x[is_image_S] for x in inputs))
    results = []
    for text_out, image_out in zip(of_text, of_images, strict=True):
        merged = text_out.new_empty(len(is_image_S), *text_out.shape[1:])
        merged[is_text_S] = text_out
        merged[is_image_S] = image_out
        results.append(merged)
    return tuple(results)


def by_choice(is_image_S: Tensor, text: Work, image: Work, *inputs: Tensor) -> tuple[Tensor, ...]:
    """Apply both modalities' weights to all tokens, and select one of the two results for each."""
    pairs = zip(text(*inputs), image(*inputs), strict=True)
    return tuple(
        torch.where(is_image_S.view(-1, *[1] * (text_out.ndim - 1)), image_out, text_out)
        for text_out, image_out in pairs
    )


ROUTES: dict[Route, Callable[..., tuple[Tensor, ...]]] = {
    "boolean": by_boolean_mask,
    "both": by_choice,
}


def masked_attention(
    query_SHE: Tensor, key_SGE: Tensor, value_SGE: Tensor, rows: FusionRows, scale: float
) -> Tensor:
    """Attention over padded rows under the hybrid mask, [S, H, E]."""
    q, k, v = (x[rows.row_BL].transpose(1, 2) for x in (query_SHE, key_SGE, value_SGE))
    if k.shape[1] != q.shape[1]:
        k, v = (x.repeat_interleave(q.shape[1] // x.shape[1], dim=1) for x in (k, v))
    out = F.scaled_dot_product_attention(q, k, v, rows.mask_B1LL, scale=scale)
    return out.transpose(1, 2).flatten(0, 1)[rows.slot_S]
