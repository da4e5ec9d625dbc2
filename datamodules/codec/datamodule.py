"""Images and clips as bytes of compressed files, as text: rows for a language model of files."""

import json
from collections.abc import Iterator
from itertools import islice
from random import Random
from typing import Literal, Protocol

import numpy as np
from lightning.pytorch.utilities.rank_zero import rank_zero_warn
from numpy.typing import NDArray
from typing_extensions import override

from datamodules.clips.files import VERSION as CLIPS
from datamodules.clips.files import ClipSource
from datamodules.images.items import shaped, stored
from datamodules.images.preprocess import MAX_PIXELS
from datamodules.images.preprocess import VERSION as IMAGES
from datamodules.images.source import ImageSource
from datamodules.records.document import BadSample, Document
from datamodules.records.faults import attempt
from datamodules.stream.loader import EvaluationLoader
from datamodules.stream.stages import Stage
from datamodules.text.datamodule import TextData
from datamodules.text.packing import LongDocuments
from datamodules.text.prompts import Prompts
from datamodules.text.source import TextSource
from datamodules.text.tokenizer import TextTokenizer

Pixels = NDArray[np.uint8]
Source = ImageSource | ClipSource
JPEG = b"\xff\xd8"
"""First bytes of a JPEG file."""
CLIP = 4
"""Dimensions of a clip: frames, height, width, colours."""


class Codec(Protocol):
    """Turns images, or clips, into texts of bytes."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Frames if it takes clips, height, width, and 3 if there are colours."""

    @property
    def alphabet(self) -> list[str]:
        """The character of each of the 256 bytes."""

    def text(self, image: Pixels) -> str:
        """The file of an image, a character a byte."""

    def prefix(self, image: Pixels, share: float) -> str:
        """The file up to a share of the image."""

    def fingerprint(self) -> str:
        """A text that changes when files may have changed."""


class CodecText(TextSource):
    """The files of a source's images or clips.

    Args:
        source: The images or clips; captions are ignored.
        codec: Compresses them to files.
        max_pixels: Pixels of the largest image file that is opened.

    Attributes:
        num_coded_before: Number of valid images or clips read so far whose file was lossy already.

    Raises:
        ValueError: The codec takes clips and the source has images, or vice versa; or the codec's
            images are not square.
    """

    def __init__(self, source: Source, codec: Codec, max_pixels: int = MAX_PIXELS):
        super().__init__(source.weight)
        is_of_clips = isinstance(source, ClipSource)
        if is_of_clips != (len(codec.shape) == CLIP):
            takes, has = ("images", "clips") if is_of_clips else ("clips", "images")
            raise ValueError(f"the codec takes {takes}, but {source.name} has {has}.")
        if isinstance(source, ClipSource):
            frames, height, width, _ = codec.shape
            source.check((frames, height, width))
        elif codec.shape[0] != codec.shape[1]:
            height, width = codec.shape[:2]
            raise ValueError(
                f"images are cut to squares, but the codec's are {height}x{width}: give its "
                "height and width one value."
            )
        self.source = source
        self.codec = codec
        self.max_pixels = max_pixels
        self.num_coded_before = 0

    @property
    @override
    def name(self) -> str:
        return self.source.name

    @override
    def fingerprint(self) -> str:
        is_of_clips = isinstance(self.source, ClipSource)
        read = CLIPS if is_of_clips else [IMAGES, self.max_pixels]
        return json.dumps(["CodecText", read, self.source.fingerprint(), self.codec.fingerprint()])

    @override
    def documents(self) -> Iterator[Document | BadSample]:
        self.source.prepare()
        self.num_coded_before = 0
        for index in range(len(self.source)):
            yield attempt(self.source.location(index), self._document, index)
        if self.num_coded_before:
            rank_zero_warn(
                f"{self.name}: {self.num_coded_before} of {len(self.source)} were compressed "
                "with losses already; they were decoded and coded again, and both losses add up."
            )

    def _document(self, index: int) -> Document:
        text = self.codec.text(self.pixels(index))
        return Document(text, self.source.location(index), len(text))

    def pixels(self, index: int) -> Pixels:
        """An image in the codec's format, the central square, resized; or a clip.

        Raises:
            BadSampleError: It is broken, or the document is not a single image.
        """
        if isinstance(self.source, ClipSource):
            frames, height, width, _ = self.codec.shape
            clip = self.source.clip(index, (frames, height, width))
            self.num_coded_before += self.source.is_of_files
            return clip
        size, _, *colours = self.codec.shape
        image = stored(self.source, index, Random(index))
        found = shaped(image, size, 3 if colours else 1, self.max_pixels)
        self.num_coded_before += isinstance(image, bytes) and has_losses(image)
        return found


class CodecData(TextData):
    """Files of images or clips, tokenised once and packed; `predict` draws or completes files.

    Args:
        codec: Compresses images, or clips, to files.
        tokenizer: Folder of a tokenizer of bytes as text; see the command `tokenizer`.
        train: Sources of training images, or clips; each gets rows in proportion to its weight.
        validate: Sources of validation images.
        test: Sources of test images, whose prefixes are completed.
        row_length: Tokens of a row.
        packing: best_fit keeps files whole; concatenate splits them at the end of a row, as in the
            paper.
        long_documents: What best_fit does with a file longer than a row.
        batch_size: Rows per device and micro-batch.
        eval_batch_size: The same outside of training; None takes `batch_size`.
        num_workers: Processes that build batches; 0 builds them in the training process.
        cache: Folder of the tokenised files.
        seed: Seed of the order of the rows; independent of the trainer's.
        num_samples: Number of images that predict draws.
        share: Share of a test image that is given as prefix (the paper's r), or of the frames of
            a clip; 0 draws new ones.
        max_bad_rate: Share of unusable images in a source above which the run stops.
        max_pixels: Pixels of the largest file of an image that is opened; larger ones count as
            unusable, since a few bytes can claim any size.

    Raises:
        ValueError: A number is out of bounds, or there are no training images.
    """

    def __init__(
        self,
        codec: Codec,
        tokenizer: str,
        train: list[Source],
        validate: list[Source] | None = None,
        test: list[Source] | None = None,
        row_length: int = 1024,
        packing: Literal["best_fit", "concatenate"] = "best_fit",
        long_documents: LongDocuments = "error",
        batch_size: int = 8,
        eval_batch_size: int | None = None,
        num_workers: int = 0,
        cache: str = ".cache/tokens",
        seed: int = 0,
        num_samples: int = 32,
        share: float = 0.0,
        max_bad_rate: float = 0.01,
        max_pixels: int = MAX_PIXELS,
    ):
        if num_samples < 1:
            raise ValueError(f"num_samples must be at least 1, got {num_samples}.")
        if not 0 <= share < 1:
            raise ValueError(f"share must be within [0, 1), got {share}.")
        if max_pixels < 1:
            raise ValueError(f"max_pixels must be at least 1, got {max_pixels}.")
        given = (train, validate, test)
        sources = [[CodecText(s, codec, max_pixels) for s in some or []] for some in given]
        super().__init__(
            tokenizer=tokenizer,
            train=list(sources[0]),
            validate=list(sources[1]),
            test=list(sources[2]),
            row_length=row_length,
            packing=packing,
            long_documents=long_documents,
            batch_size=batch_size,
            eval_batch_size=eval_batch_size,
            num_workers=num_workers,
            cache=cache,
            seed=seed,
            max_bad_rate=max_bad_rate,
        )
        self.codec = codec
        self.unfinished = sources[2]
        self.num_samples = num_samples
        self.share = share

    @property
    def alphabet(self) -> list[str]:
        """Characters of the texts, for training a tokenizer."""
        return self.codec.alphabet

    def fingerprint(self, stage: Stage) -> str:
        """A text that changes when the files of a stage may have changed."""
        vocabulary = self._tokenizer().fingerprint
        rows = [vocabulary, self.row_length, self.packing, self.long_documents]
        return json.dumps([[source.fingerprint() for source in self.sources[stage]], *rows])

    @override
    def predict_dataloader(self) -> EvaluationLoader:
        """Every file to be drawn or completed, once.

        Raises:
            ValueError: There are fewer test images to complete than `num_samples`.
        """
        vocabulary = self._tokenizer()
        names = [f"sample {n + 1}" for n in range(self.num_samples)]
        begun: list[list[int]] = [[]] * self.num_samples
        if self.share:
            found = list(self._beginnings(vocabulary))
            if len(found) < self.num_samples:
                raise ValueError(
                    f"num_samples is {self.num_samples}, but test has {len(found)} images."
                )
            names, begun = [origin for origin, _ in found], [tokens for _, tokens in found]
        ids = [[vocabulary.start, *tokens] for tokens in begun]
        return self._evaluation(Prompts(names, ids, vocabulary.pad))

    def _beginnings(self, vocabulary: TextTokenizer) -> Iterator[tuple[str, list[int]]]:
        """Origins of test images and the first tokens of their files."""
        bad_samples: list[BadSample] = []
        for origin, pixels in islice(self._usable(bad_samples), self.num_samples):
            given = len(self.codec.prefix(pixels, self.share))
            yield origin, begin(vocabulary, self.codec.text(pixels), given)
        if bad_samples:
            rank_zero_warn(
                f"{len(bad_samples)} test images cannot be used and are not finished; the first is "
                f"{bad_samples[0].origin}: {bad_samples[0].reason}."
            )

    def _usable(self, bad_samples: list[BadSample]) -> Iterator[tuple[str, Pixels]]:
        """Origins and pixels of sound test images; the others are added to `bad_samples`."""
        for files in self.unfinished:
            files.source.prepare()
            for index in range(len(files.source)):
                origin = files.source.location(index)
                pixels = attempt(origin, files.pixels, index)
                if isinstance(pixels, BadSample):
                    bad_samples.append(pixels)
                else:
                    yield origin, pixels


def has_losses(file: bytes) -> bool:
    """Whether the file of an image has lost something by compression: a JPEG, or a lossy WebP."""
    is_webp = file[:4] == b"RIFF" and file[8:12] == b"WEBP"
    return file.startswith(JPEG) or (is_webp and b"VP8 " in chunks(file))


def chunks(webp: bytes) -> list[bytes]:
    """Names of the parts of a WebP file (RFC 9649, sec. 2.3); each has an even number of bytes."""
    at, names = 12, []
    while at + 8 <= len(webp):
        names.append(webp[at : at + 4])
        size = int.from_bytes(webp[at + 4 : at + 8], "little")
        at += 8 + size + size % 2
    return names


def begin(vocabulary: TextTokenizer, text: str, given: int) -> list[int]:
    """The tokens of a whole file that lie within its first characters.

    A prefix that is tokenised by itself would end in tokens that whole files do not have there, and
    that the model has not seen. So the result may be shorter by less than one token.

    Args:
        vocabulary: Its tokens are named by their characters.
        text: The file as text.
        given: Number of characters of the prefix.
    """
    (ids,) = vocabulary.encode([text])
    ends = np.cumsum([len(name) for name in vocabulary.backend.convert_ids_to_tokens(ids)])
    return ids[: int(np.searchsorted(ends, given, side="right"))]
