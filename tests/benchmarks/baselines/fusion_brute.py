"""What a step must compute and save, position by position and pair by pair."""

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
    index, document = batch["position_S"], batch["document_S"]
    mask = hybrid_mask(index, document, batch["image_id_S"])
    all_positions = []
    for s in range(len(index)):
        is_image = s >= len(batch["token_T"])
        is_last = bool(index[s] == index[document == document[s]].max())
        all_positions.append(
            Position(
                is_image,
                is_prefix=frozen and s < batch["num_prefix"],
                is_mark=not is_image and bool(batch["token_T"][s] < 0),
                is_needed=is_image or not is_last,
                has_label=not is_image and bool(batch["label_T"][s] != IGNORE),
                sees=torch.nonzero(mask[s]).flatten().tolist(),
            )
        )
    return all_positions


def brute_flops(size: Size, case: FusionCase, frozen: bool) -> int:
    all_positions = positions(case, frozen)
    num_images = len(case.noised.step_I)
    inputs = size.channels * size.patch**2
    products = num_images * (2 * 128 * inputs + 3 * inputs * inputs)
    for position in all_positions:
        products += position.is_image * 6 * inputs * size.width
        if position.has_label and not position.is_prefix:
            trained = 2 if frozen else 3
            products += trained * size.width * size.vocab_size + 3 * size.width
        for block in range(size.num_layers):
            products += linear_products(size, position, block, frozen)
            products += attention_products(size, position, block, all_positions)
    return 2 * products


def is_finished(size: Size, position: Position, block: int) -> bool:
    """Whether anything needs the position's state after the block."""
    if block < size.num_layers - 1:
        return position.is_needed
    return position.is_read and not position.is_prefix


def linear_products(size: Size, position: Position, block: int, frozen: bool) -> int:
    if not position.is_needed:
        return 0
    before_attention = [size.width * size.key_width] * 2
    after_attention = []
    if is_finished(size, position, block):
        before_attention.append(size.width**2)
        after_attention = [size.width**2, *[size.width * size.intermediate] * 3]
    trained = position.is_image or not frozen
    from_text = frozen and block == 0 and not (position.is_image or position.is_mark)
    total = 0
    linear = [(w, not from_text) for w in before_attention] + [(w, True) for w in after_attention]
    for weights, wants_input in linear:
        total += weights * (1 + (not position.is_prefix) * (wants_input + trained))
    return total


def attention_products(
    size: Size, position: Position, block: int, all_positions: list[Position]
) -> int:
    if not is_finished(size, position, block):
        return 0
    total = 0
    for key in position.sees:
        total += 2
        if not position.is_prefix:
            total += 2 if all_positions[key].is_prefix else 4
    return total * size.width


def brute_bytes(size: Size, case: FusionCase) -> int:
    all_positions = positions(case, frozen=True)
    inputs = size.channels * size.patch**2
    kept = len(case.noised.step_I) * (128 + inputs + inputs)
    for position in all_positions:
        kept += position.is_needed * size.num_layers * (size.key_width + size.key_width)
        if position.is_prefix or not position.is_needed:
            continue
        for block in range(size.num_layers):
            from_text = block == 0 and not (position.is_image or position.is_mark)
            kept += 0 if from_text else size.width + 1
            kept += size.width if position.is_image else 0
            if is_finished(size, position, block):
                kept += size.width + size.width + size.num_heads
                kept += size.width + 1 + 3 * size.intermediate
                kept += size.width + size.intermediate if position.is_image else 0
        if position.is_image:
            kept += inputs + size.width + 1 + size.width + inputs
        elif position.has_label:
            kept += size.width + 1 + size.width + size.vocab_size + 1
    return 4 * kept
