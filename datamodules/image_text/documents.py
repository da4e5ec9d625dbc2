"""From samples of all sources to documents, and from documents to batches."""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from datamodules.image_text.batch import DocumentImage, ImageTextDocument, collate, length
from datamodules.images.preprocess import MAX_PIXELS, latent
from datamodules.images.source import ImageSource, Interleaved, Pair, Segment
from datamodules.records.document import BadSample
from datamodules.records.errors import BadSampleError
from datamodules.stream.loader import Batch
from datamodules.stream.samples import SourceItems
from datamodules.text.tokenizer import TextTokenizer

ImageFirst = Literal["noised", "clean"]
"""How an image that precedes its caption is trained."""


@dataclass(frozen=True)
class Composer:
    """Turns a sample into a document.

    Attributes:
        tokenizer: Turns text into ids.
        latent_shape: Channels, height and width of latents.
        num_patches: Patches of an image.
        row_length: Positions of the longest document.
        caption_first: Probability that a caption precedes its image, in [0, 1].
        caption_dropout: Probability that the text of a document is dropped, if any of it precedes
            an image to be predicted: the unconditional case of guidance.
        image_first: Whether the image of a pair that precedes its caption is noised and
            predicted as well, or clean context.
        max_pixels: Pixels of the largest image file that is opened.
    """

    tokenizer: TextTokenizer
    latent_shape: tuple[int, int, int]
    num_patches: int
    row_length: int
    caption_first: float = 0.8
    caption_dropout: float = 0.0
    image_first: ImageFirst = "noised"
    max_pixels: int = MAX_PIXELS

    def document(self, sample: Pair | Interleaved, rng: Random) -> ImageTextDocument:
        """Start token, then the segments; after a text at the end comes the end token.

        Args:
            sample: A pair, whose order is drawn, or a document that keeps its own.
            rng: Generator of the order.

        Raises:
            BadSampleError: An image is broken or the document is too long.
        """
        segments = self.arrange(sample, rng) if isinstance(sample, Pair) else sample
        if rng.random() < self.caption_dropout and guides(segments):
            segments = [s for s in segments if not isinstance(s, str)]
        texts = [s for s in segments if isinstance(s, str)]
        ids = iter(self.tokenizer.encode(texts) if texts else [])
        is_text = [isinstance(s, str) for s in segments]
        document: ImageTextDocument = [[self.tokenizer.start]]
        for i, segment in enumerate(segments):
            if isinstance(segment, str):
                document.append(next(ids))
            else:
                pixels = latent(segment.image, self.latent_shape, self.max_pixels)
                is_first = not any(is_text[:i]) and any(is_text[i:])
                document.append(DocumentImage(pixels, segment.is_target, is_first))
        if is_text and is_text[-1]:
            document.append([self.tokenizer.eos])
        size = length(document, self.num_patches)
        if size > self.row_length:
            raise BadSampleError(f"{size} positions, but row_length is {self.row_length}")
        return document

    def arrange(self, pair: Pair, rng: Random) -> Interleaved:
        """Draw a caption, and whether it precedes its image."""
        caption = rng.choice(pair.captions)
        if rng.random() < self.caption_first:
            return [caption, Segment(pair.image, is_target=True)]
        return [Segment(pair.image, is_target=self.image_first == "noised"), caption]


def guides(segments: Interleaved) -> bool:
    """Whether text precedes an image that is to be predicted."""
    text = next((n for n, s in enumerate(segments) if isinstance(s, str)), len(segments))
    return any(isinstance(s, Segment) and s.is_target for s in segments[text:])


class ImageTextItems(SourceItems[ImageSource, ImageTextDocument]):
    """The documents of several sources as one sequence that collates itself.

    Args:
        sources: The sources; ids of documents continue from one source to the next.
        composer: Turns a sample into a document.
        seed: Seed of all random choices.
        replace: Whether the replacement of a bad document counts, as in training; else it is
            padding.
    """

    def __init__(
        self, sources: Sequence[ImageSource], composer: Composer, seed: int, replace: bool
    ):
        super().__init__(sources, seed, replace)
        self.composer = composer

    @override
    def read(self, source: ImageSource, index: int, rng: Random) -> ImageTextDocument:
        return self.composer.document(source.sample(index, rng), rng)

    @override
    def batch(self, ids: NDArray[np.int64], num_real: int) -> Batch:
        """One batch; documents from `num_real` on are padding.

        Args:
            ids: Draws as `Draws` gives them, or plain indices of documents.
            num_real: The first so many documents count.

        Returns:
            The result of `collate`, and `bad_samples` where some were bad.
        """
        taken = [self.take(int(draw)) for draw in ids]
        row_D = [
            row if d < num_real and (self.replace or bad is None) else -1
            for d, (_, row, bad) in enumerate(taken)
        ]
        bad_samples = [bad for _, _, bad in taken[:num_real] if bad is not None]
        documents = [document for document, _, _ in taken]
        composer = self.composer
        batch = collate(documents, row_D, composer.num_patches, composer.latent_shape)
        return batch | ({"bad_samples": bad_samples} if bad_samples else {})

    def take(self, draw: int) -> tuple[ImageTextDocument, int, BadSample | None]:
        """As `draw`; an empty document where no good one is found."""
        document, row, bad = self.draw(draw)
        empty: ImageTextDocument = [[self.composer.tokenizer.start]]
        return empty if document is None else document, row, bad
