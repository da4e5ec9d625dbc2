"""What a step must compute and keep, position by position and pair by pair."""

from dataclasses import dataclass

import torch

from benchmarks.baselines.fusion_cases import FusionCase, Size
from modules.lmfusion.loss import IGNORE
from modules.lmfusion.network.mask import hybrid_mask


@dataclass
class Position:
    is_image: bool
    is_prefix: bool
    is_mark: bool
    is_needed: bool
    has_label: bool
    sees: list[int]

    @property
    def is_read(self) -> bool:
        return self.is_image or self.has_label


def positions(case: FusionCase, frozen: bool) -> list[Position]:
    batch = case.batch
    place, document = batch["position_S"], batch["document_S"]
    mask = hybrid_mask(place, document, batch["image_id_S"])
    found = []
    for s in range(len(place)):
        is_image = s >= len(batch["token_T"])
        is_last = bool(place[s] == place[document == document[s]].max())
        found.append(
            Position(
                is_image,
                is_prefix=frozen and s < batch["num_prefix"],
                is_mark=not is_image and bool(batch["token_T"][s] < 0),
                is_needed=is_image or not is_last,
                has_label=not is_image and bool(batch["label_T"][s] != IGNORE),
                sees=torch.nonzero(mask[s]).flatten().tolist(),
            )
        )
    return found


def brute_flops(size: Size, case: FusionCase, frozen: bool) -> int:
    found = positions(case, frozen)
    num_images = len(case.noised.step_I)
    inputs = size.channels * size.patch**2
    products = num_images * (2 * 128 * inputs + 3 * inputs * inputs)
    for one in found:
        products += one.is_image * 6 * inputs * size.width
        if one.has_label and not one.is_prefix:
            trained = 2 if frozen else 3
            products += trained * size.width * size.vocab_size + 3 * size.width
        for block in range(size.num_layers):
            products += linear_products(size, one, block, frozen)
            products += attention_products(size, one, block, found)
    return 2 * products


def is_finished(size: Size, one: Position, block: int) -> bool:
    """Whether anything needs the position's state behind the block."""
    if block < size.num_layers - 1:
        return one.is_needed
    return one.is_read and not one.is_prefix


def linear_products(size: Size, one: Position, block: int, frozen: bool) -> int:
    if not one.is_needed:
        return 0
    before = [size.width * size.key_width] * 2
    behind = []
    if is_finished(size, one, block):
        before.append(size.width**2)
        behind = [size.width**2, *[size.width * size.intermediate] * 3]
    trained = one.is_image or not frozen
    from_text = frozen and block == 0 and not (one.is_image or one.is_mark)
    total = 0
    for weights, wants_input in [(w, not from_text) for w in before] + [(w, True) for w in behind]:
        total += weights * (1 + (not one.is_prefix) * (wants_input + trained))
    return total


def attention_products(size: Size, one: Position, block: int, found: list[Position]) -> int:
    if not is_finished(size, one, block):
        return 0
    total = 0
    for key in one.sees:
        total += 2
        if not one.is_prefix:
            total += 2 if found[key].is_prefix else 4
    return total * size.width


def brute_bytes(size: Size, case: FusionCase) -> int:
    found = positions(case, frozen=True)
    inputs = size.channels * size.patch**2
    kept = len(case.noised.step_I) * (128 + inputs + inputs)
    for one in found:
        kept += one.is_needed * size.num_layers * (size.key_width + size.key_width)
        if one.is_prefix or not one.is_needed:
            continue
        for block in range(size.num_layers):
            from_text = block == 0 and not (one.is_image or one.is_mark)
            kept += 0 if from_text else size.width + 1
            kept += size.width if one.is_image else 0
            if is_finished(size, one, block):
                kept += size.width + size.width + size.num_heads
                kept += size.width + 1 + 3 * size.intermediate
                kept += size.width + size.intermediate if one.is_image else 0
        if one.is_image:
            kept += inputs + size.width + 1 + size.width + inputs
        elif one.has_label:
            kept += size.width + 1 + size.width + size.vocab_size + 1
    return 4 * kept
