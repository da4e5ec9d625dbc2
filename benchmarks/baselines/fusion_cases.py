"""Networks and batches on which LMFusion is measured.

The datamodule's own collator lays out the documents, and the system itself decides which positions
have a loss. Losses are those of a step of one micro-batch, without a trainer.

Shape legend: as in `modules.lmfusion.network.fusion`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
import torch
from torch import Tensor

from datamodules.image_text.batch import DocumentImage, ImageTextDocument, collate
from modules.diffusion.schedule import CosineSchedule
from modules.lmfusion.batch import ImageTextBatch
from modules.lmfusion.loss import text_loss
from modules.lmfusion.network.block import Separation
from modules.lmfusion.network.fusion import FusionNetwork
from modules.lmfusion.network.llama import scratch
from modules.lmfusion.network.mask import Runs
from modules.lmfusion.network.patchify import LinearPatchifier
from modules.lmfusion.noise import Noised, add
from modules.lmfusion.system import LMFusion

SPREAD = (0.5, 0.75, 0.9, 1.0, 1.0, 1.1, 1.25, 1.5)
"""Lengths of a batch's texts as multiples of their mean."""


@dataclass(frozen=True)
class Size:
    """Size of a network with the linear patchifier, whose FLOPs follow from simple formulas.

    Attributes:
        width: D.
        intermediate: Width inside the FFN.
        num_layers: Blocks.
        num_heads: Query heads.
        num_key_heads: Key-value heads.
        vocab_size: V.
        side: Height and width of a latent.
        channels: Of a latent.
        patch: Latent pixels along the side of a patch.
    """

    width: int
    intermediate: int
    num_layers: int
    num_heads: int
    num_key_heads: int
    vocab_size: int
    side: int = 32
    channels: int = 8
    patch: int = 2

    @property
    def num_patches(self) -> int:
        """Patches of an image."""
        return (self.side // self.patch) ** 2

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of a latent."""
        return self.channels, self.side, self.side

    @property
    def key_width(self) -> int:
        """Width of all keys of a position together."""
        return self.width // self.num_heads * self.num_key_heads

    def build(
        self,
        separation: Separation = "deep",
        freeze_text: bool = True,
        device: torch.device | str = "cpu",
    ) -> LMFusion:
        """The system with a network of random weights from a fixed seed.

        Noise is added to the trained weights: the image experts then differ from the text's, and
        the patchifier's upward part does not return zeros.
        """

        def network() -> FusionNetwork:
            with torch.device(device):
                text = scratch(self.vocab_size, dict(self.options))
                patchifier = LinearPatchifier(self.width, self.side, self.channels, self.patch)
                return FusionNetwork(text, patchifier, separation, freeze_text)

        torch.manual_seed(0)
        system = LMFusion(network, "none")
        system.configure_model()
        with torch.no_grad():
            for parameter in system.parameters():
                if parameter.requires_grad:
                    parameter.add_(torch.randn_like(parameter), alpha=0.02)
        return system

    @property
    def options(self) -> dict[str, int]:
        """The sizes as options of transformers' LlamaConfig."""
        return {
            "hidden_size": self.width,
            "intermediate_size": self.intermediate,
            "num_hidden_layers": self.num_layers,
            "num_attention_heads": self.num_heads,
            "num_key_value_heads": self.num_key_heads,
            "max_position_embeddings": 8192,
        }


LLAMA_3_8B = Size(4096, 14336, 32, 32, 8, 128256)
SMALL = Size(64, 224, 3, 4, 2, 512, side=16)


@dataclass(frozen=True)
class FusionCase:
    """A batch with its noise.

    Attributes:
        batch: As the datamodule collates it.
        noised: Its images with noise added.
    """

    batch: ImageTextBatch
    noised: Noised

    @staticmethod
    def of(size: Size, num_tokens: Sequence[int], caption_first: bool = True) -> "FusionCase":
        """One document for each number of text tokens, with one image each.

        Args:
            size: Vocabulary and latents.
            num_tokens: Text tokens of each document, the start token included, which comes first
                even where the image precedes the caption.
            caption_first: Whether the caption precedes the image.
        """
        rng = np.random.default_rng(0)

        def document(length: int) -> ImageTextDocument:
            ids: list[int] = rng.integers(size.vocab_size, size=length).tolist()
            latent = rng.normal(size=size.latent_shape).astype(np.float32)
            image = DocumentImage(latent, is_target=True, is_first=not caption_first)
            return [ids, image] if caption_first else [ids[:1], image, ids[1:]]

        documents = [document(length) for length in num_tokens]
        rows = list(range(len(documents)))
        batch = collate(documents, rows, size.num_patches, size.latent_shape)
        latent_ICHW = cast(Tensor, batch["latent_ICHW"])
        step_I = torch.linspace(100, 900, len(documents)).long()
        generator = torch.Generator().manual_seed(0)
        noised = add(latent_ICHW, step_I, CosineSchedule(), "eps", generator)
        return FusionCase(cast(ImageTextBatch, batch), noised)

    @property
    def runs(self) -> Runs:
        """The segments of the batch."""
        return LMFusion.runs(self.batch)

    def to(self, device: torch.device | str) -> "FusionCase":
        """A copy on a device."""
        moved = {k: v.to(device) if isinstance(v, Tensor) else v for k, v in self.batch.items()}
        names = ("latent_ICHW", "step_I", "target_ICHW", "abar_I")
        tensors = {name: getattr(self.noised, name).to(device) for name in names}
        return FusionCase(cast(ImageTextBatch, moved), replace(self.noised, **tensors))


def spread(mean: int) -> list[int]:
    """Eight lengths with this mean."""
    return [round(mean * share) for share in SPREAD]


def loss(system: LMFusion, case: FusionCase) -> Tensor:
    """The loss as the system trains it: text without trainable parameters is left out."""
    out = system.predict_noise(case.batch, case.noised)
    image = system.image_total(case.batch, case.noised, out)
    return weighted(system, case, image, system.later_text_total(case.batch, out))


def whole_loss(system: LMFusion, case: FusionCase) -> Tensor:
    """The loss over all text, also where no trainable parameter is involved."""
    out = system.predict_noise(case.batch, case.noised, read_prefix=True)
    image = system.image_total(case.batch, case.noised, out)
    hidden = [out.later_LD] if out.prefix_WD is None else [out.prefix_WD, out.later_LD]
    logits = system.fusion.logits(torch.cat(hidden))
    return weighted(system, case, image, text_loss(logits, case.batch["label_T"]))


def weighted(system: LMFusion, case: FusionCase, image: Tensor, text: Tensor) -> Tensor:
    """L_text + lambda L_image, each a mean over the batch."""
    count = case.batch["num_targets"]
    return system.image_weight * image / count["image"] + system.text_weight * text / count["text"]
