"""Test metrics of images and captions (LMFusion, sec. 4.1).

A document of one image and one caption is used twice: an image is generated from the caption, for
the Frechet distance and the CLIP score; a caption is generated from the image, for CIDEr.

Shape legend: T = text positions, I = images, C, H, W = channels, height and width of latents,
N = decoded images.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import exp
from typing import Any

import torch
from torch import Tensor, nn

from modules.lmfusion.generation.batch import GenerationPipeline
from modules.lmfusion.generation.generate import DocumentPrompt, Want
from modules.metrics.image.frechet_metric import FrechetMetric, Reference, counted, over_ranks
from modules.metrics.meter import Reduce
from modules.metrics.text.cider import Cider

LACK = "test: no document is one image with one caption, nothing to measure"


@dataclass(frozen=True)
class CaptionedImage:
    """An image and its caption, from a test document.

    Attributes:
        row: Row of the document in the test set; with the seed it determines the samples.
        caption_T: Token ids without start and end.
        latent_CHW: The image.
    """

    row: int
    caption_T: Tensor
    latent_CHW: Tensor


def pairs(batch: Mapping[str, Any], end: int) -> list[CaptionedImage]:
    """The documents of a batch that are one image and one caption, in either order.

    Args:
        batch: A `batch.ImageTextBatch`.
        end: Token id that ends a text.
    """
    token_T, document_S, image_id_S = (
        batch[name].cpu() for name in ("token_T", "document_S", "image_id_S")
    )
    found = []
    for number, row in enumerate(batch["row_D"]):
        is_own_S = document_S == number
        text_T = token_T[is_own_S[: len(token_T)]]
        text_T = text_T[text_T >= 0][1:]  # without marks, without the start token
        text_T = text_T[:-1] if len(text_T) and int(text_T[-1]) == end else text_T
        image = image_id_S[is_own_S & (image_id_S >= 0)].unique().tolist()
        if row >= 0 and len(image) == 1 and len(text_T):
            found.append(CaptionedImage(row, text_T, batch["latent_ICHW"][image[0]]))
    return found


class ImageTextMetrics:
    """Options of what the test measures besides losses and perplexity.

    Args:
        features: Builds the feature extractor of the Frechet distance, such as
            `modules.metrics.image.image_features.Inception`; not measured if None.
        statistics: An .npz file with mean and covariance of the reference features, in the format
            of pytorch-fid or ours. Written after a complete test if it does not exist; refused if
            it belongs to other images or features. If None, the test images are the reference.
        clip: Local folder or hub id of a CLIP for the CLIP score; not measured if None.
        cider: Whether to caption the test images and compare by CIDEr-D, with the caption of the
            document as the only reference.

    Raises:
        ValueError: `statistics` is given without `features`.
    """

    def __init__(
        self,
        features: Callable[[], nn.Module] | None = None,
        statistics: str | None = None,
        clip: str | None = None,
        cider: bool = True,
    ):
        if statistics is not None and features is None:
            raise ValueError(
                f"test_metrics has statistics {statistics}, but no features to compare"
            )
        self.features = features
        self.statistics = statistics
        self.clip = clip
        self.cider = cider

    def begin(self, device: torch.device, real: Reference | None = None) -> "ImageTextTestRun":
        """Start a test; reads the models.

        Args:
            device: Device of the evaluation models.
            real: What identifies the reference images.
        """
        return ImageTextTestRun(self, device, real)


class ImageTextTestRun:
    """One run of the test.

    Args:
        metrics: The options.
        device: Device of the evaluation models.
        real: What identifies the reference images.
    """

    def __init__(
        self, metrics: ImageTextMetrics, device: torch.device, real: Reference | None = None
    ):
        self.metrics = metrics
        self.device = device
        self.frechet: FrechetMetric | None = None
        if metrics.features is not None:
            self.frechet = FrechetMetric(metrics.features, metrics.statistics, device, real)
        self.score: Any = None
        if metrics.clip is not None:
            from modules.metrics.image.clip_score import ClipScore  # takes seconds

            self.score = ClipScore(metrics.clip, device=device)
        self.fit = torch.zeros(2, dtype=torch.float64)
        self.said: list[tuple[int, str, str]] = []

    def add(self, batch: Mapping[str, Any], pipeline: GenerationPipeline) -> None:
        """Generate images and captions for the pairs of a batch; ranks must call equally often."""
        found = pairs(batch, pipeline.tokenizer.eos_token_id)
        if self.frechet is not None or self.score is not None:
            self.add_images(found, pipeline)
        if self.metrics.cider:
            self.add_captions(found, pipeline)

    def add_images(self, found: Sequence[CaptionedImage], pipeline: GenerationPipeline) -> None:
        """Generate images from captions, and compare them with both."""
        prompts = [prompt(p, [started(p.caption_T, pipeline)], "image") for p in found]
        drawn = [added[0] for added in pipeline.answer(prompts)]
        if found:
            with torch.autocast(self.device.type, enabled=False):  # in their own precision
                self.compare(found, pixels(pipeline, drawn), pipeline)

    def compare(
        self, found: Sequence[CaptionedImage], image_NCHW: Tensor, pipeline: GenerationPipeline
    ) -> None:
        """Add generated images to the Frechet distance and the CLIP score."""
        if self.frechet is not None:
            self.frechet.add(image_NCHW, pixels(pipeline, [p.latent_CHW for p in found]))
        if self.score is not None:
            captions = [pipeline.tokenizer.decode(p.caption_T) for p in found]
            self.fit[0] += self.score(image_NCHW, captions).double().sum().cpu()
            self.fit[1] += len(found)

    def add_captions(self, found: Sequence[CaptionedImage], pipeline: GenerationPipeline) -> None:
        """Generate captions of images."""
        empty = torch.empty(0, dtype=torch.int64)
        prompts = [prompt(p, [started(empty, pipeline), p.latent_CHW], "text") for p in found]
        for pair, (written, *_) in zip(found, pipeline.answer(prompts), strict=True):
            texts = [pipeline.tokenizer.decode(ids) for ids in (written, pair.caption_T)]
            self.said.append((pair.row, texts[0], texts[1]))

    def row(self, reduce: Reduce) -> dict[str, float]:
        """The metrics over all ranks, by name; every rank must call.

        Args:
            reduce: Sums a tensor over all ranks.

        Raises:
            ValueError: No test document is one image and one caption.
        """
        row = {}
        if self.frechet is not None:
            row["frechet"] = self.frechet.distance(reduce)
        if self.score is not None:
            total, count = reduce(self.fit).tolist()
            row["clip_score"] = total / counted(count, LACK)
        if self.metrics.cider:
            row["cider"] = cider(over_ranks(self.said))
        return row


def mean_losses(sums: Sequence[float], stage: str) -> dict[str, float]:
    """Text loss in nats per label, perplexity and image loss, as far as there were targets.

    Args:
        sums: Sum of text losses, number of labels, sum of image losses, number of images.
        stage: For the error message.

    Raises:
        ValueError: There was no target.
    """
    nats, targets, error, images = sums
    if targets + images == 0:
        raise ValueError(f"{stage}: no batch had a target")
    row = {"image": error / images} if images else {}
    if targets:
        row |= {"text": nats / targets, "perplexity": exp(min(nats / targets, 700.0))}
    return row


def prompt(pair: CaptionedImage, segments: list[Tensor], want: Want) -> DocumentPrompt:
    """The prompt for a pair."""
    return DocumentPrompt(name=str(pair.row), number=pair.row, segments=segments, want=want)


def started(ids_T: Tensor, pipeline: GenerationPipeline) -> Tensor:
    """Token ids after the start token."""
    start = pipeline.tokenizer.bos_token_id
    start = pipeline.tokenizer.eos_token_id if start is None else start
    return torch.cat([torch.tensor([start]), ids_T])


def pixels(pipeline: GenerationPipeline, latents: Sequence[Tensor]) -> Tensor:
    """Decoded images as RGB in [0, 1], [N, 3, height, width]."""
    return pipeline.pixels.of(torch.stack(list(latents))).permute(0, 3, 1, 2).float() / 255


def cider(said: Sequence[tuple[int, str, str]]) -> float:
    """Mean CIDEr-D of triples (row, generated, reference), in the order of rows."""
    counted(len(said), LACK)
    references = [[reference] for _, _, reference in sorted(said)]
    return Cider.from_references(references).mean([w for _, w, _ in sorted(said)], references)
