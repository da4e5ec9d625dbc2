"""How well an image fits its caption. Shape legend: B = pairs, D = width of the embeddings."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import AutoImageProcessor, CLIPModel

from modules.weights.origin import read, read_tokenizer

PERCENT = 100.0
"""Scale of the scores that generation papers print (22 to 26 on COCO); Hessel et al. take 2.5."""


class ClipScore:
    """CLIP score of images and captions (Hessel et al., 2021).

    Args:
        path: Folder or hub name of a CLIP with its tokenizer and image processor.
        weight: Scale of the score.
        device: Where the model runs.
        revision: Branch, tag or commit on the hub.
    """

    def __init__(
        self,
        path: str | Path,
        weight: float = PERCENT,
        device: torch.device | str = "cpu",
        revision: str = "main",
    ):
        self.model: Any = read(CLIPModel, str(path), "CLIP", revision=revision).to(device).eval()
        self.tokenizer: Any = read_tokenizer(str(path), revision=revision)
        self.processor: Any = read(AutoImageProcessor, str(path), "CLIP", revision=revision)
        self.weight, self.device = weight, torch.device(device)

    @torch.no_grad()
    def __call__(self, image_BCHW: Tensor, captions: Sequence[str]) -> Tensor:
        """Score of each pair, [B], float32.

        Args:
            image_BCHW: RGB in [0, 1]; rounded to 8 bits, as files would be.
            captions: One per image; what the model's context cannot hold is cut.

        Raises:
            ValueError: There is not one caption for each image.
        """
        if len(image_BCHW) != len(captions):
            raise ValueError(f"{len(captions)} captions for {len(image_BCHW)} images")
        image_BD, text_BD = self.embed_images(image_BCHW), self.embed_texts(captions)
        return clip_score(image_BD, text_BD, self.weight)

    def embed_images(self, image_BCHW: Tensor) -> Tensor:
        """Embeddings of images, [B, D], as long as they come."""
        level_BCHW = (image_BCHW.clamp(0, 1) * 255).round().byte().cpu()
        pixels = self.processor(list(level_BCHW), return_tensors="pt").to(self.device)
        embedding_BD: Tensor = self.model.get_image_features(**pixels).pooler_output
        return embedding_BD

    def embed_texts(self, captions: Sequence[str]) -> Tensor:
        """Embeddings of captions, [B, D], as long as they come."""
        context = self.model.config.text_config.max_position_embeddings
        tokens = self.tokenizer(
            list(captions),
            padding=True,
            truncation=True,
            max_length=context,
            return_tensors="pt",
            return_token_type_ids=False,
        ).to(self.device)
        embedding_BD: Tensor = self.model.get_text_features(**tokens).pooler_output
        return embedding_BD


def clip_score(image_BD: Tensor, text_BD: Tensor, weight: float = PERCENT) -> Tensor:
    """Weight times max(cos, 0) of each pair of embeddings (Hessel et al., 2021, sec. 3), [B]."""
    return weight * F.cosine_similarity(image_BD.float(), text_BD.float()).clamp(min=0)
