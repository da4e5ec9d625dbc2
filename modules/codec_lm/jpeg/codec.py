"""Images as byte sequences: baseline JPEG files without their tables (Han et al., 2024).

Files are written by Pillow (libjpeg). Their constant parts, the quantisation and Huffman tables and
optionally the header, are removed from sequences and restored in files.
"""

import json
import warnings
from dataclasses import astuple, dataclass
from functools import cache, cached_property
from io import BytesIO
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image, features

from modules.codec_lm.byte_text import ALPHABET, bytes_to_text
from modules.codec_lm.jpeg.byte_kinds import JPEG
from modules.codec_lm.jpeg.grammar import JpegGrammar
from modules.codec_lm.jpeg.huffman import read_tables
from modules.codec_lm.jpeg.markers import DHT, SOS, MarkerSegment, segments
from modules.codec_lm.jpeg.scan import FULL, Scan
from modules.codec_lm.prefix import num_given
from modules.codec_lm.rules import Rules
from modules.codec_lm.token_grammar import TokenGrammar

Pixels = NDArray[np.uint8]
Sampling = Literal["4:2:0", "4:4:4", "grey"]
Restart = Literal["mcu", "row", "none"]
TABLES, BODY = 1, 2
"""Pillow's stream types: only the tables; only the image."""
SOI, EOI = b"\xff\xd8", b"\xff\xd9"
CELL = {"4:2:0": 16, "4:4:4": 8, "grey": 8}
"""Side of a minimum coded unit (MCU), in pixels."""
BLOCKS = {"4:2:0": (0, 0, 0, 0, 1, 1), "4:4:4": (0, 1, 1), "grey": (0,)}
"""Component, luminance (0) or chrominance (1), of each block of an MCU."""


@dataclass(frozen=True)
class JpegCodec:
    """JPEG files of one size and setting, as byte sequences for a language model.

    The defaults are the paper's (app. D).

    Attributes:
        height: Height of images, in pixels.
        width: Width of images, in pixels.
        quality: libjpeg's quality, 1 to 100.
        sampling: Chrominance at half or full resolution, or none.
        restart: Whether restart markers follow every MCU, every row of MCUs, or are left out.
        keep_header: Whether sequences keep the header and the end-of-image marker, which are the
            same in all.

    Raises:
        ValueError: A number is out of bounds, or a name is unknown.
        RuntimeError: Files of this build of libjpeg cannot be split into tables and image.
    """

    height: int
    width: int
    quality: int = 25
    sampling: Sampling = "4:2:0"
    restart: Restart = "mcu"
    keep_header: bool = True

    def __post_init__(self) -> None:
        """Check the settings and the build of libjpeg."""
        for name, least, most in (("height", 1, 65500), ("width", 1, 65500), ("quality", 1, 100)):
            if not least <= getattr(self, name) <= most:
                raise ValueError(
                    f"{name} must be within [{least}, {most}], got {getattr(self, name)}."
                )
        for name, known in (("sampling", get_args(Sampling)), ("restart", get_args(Restart))):
            if getattr(self, name) not in known:
                raise ValueError(
                    f"{name} must be one of {', '.join(known)}, got {getattr(self, name)!r}."
                )
        self.check()

    @property
    def shape(self) -> tuple[int, ...]:
        """(H, W, 3), or (H, W) for grey images."""
        return (self.height, self.width) + (() if self.sampling == "grey" else (3,))

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of MCUs."""
        side = CELL[self.sampling]
        return -(-self.height // side), -(-self.width // side)

    @property
    def colours(self) -> str:
        """Colour space, as simplejpeg names it."""
        return "Gray" if self.sampling == "grey" else "YCbCr"

    def save(self, image: Pixels, **options: Any) -> bytes:
        """The JPEG file of an image; with `streamtype`, only a part of it."""
        if image.shape != self.shape or image.dtype != np.uint8:
            raise ValueError(f"images are uint8 {self.shape}, got {image.dtype} {image.shape}.")
        if self.sampling != "grey":
            options["subsampling"] = self.sampling
        if self.restart != "none":
            options |= {f"restart_marker_{'blocks' if self.restart == 'mcu' else 'rows'}": 1}
        file = BytesIO()
        Image.fromarray(image).save(file, "JPEG", quality=self.quality, **options)
        return file.getvalue()

    def encode(self, image: Pixels) -> bytes:
        """The sequence of an image.

        Args:
            image: uint8 [H, W, 3], or [H, W] if grey.

        Raises:
            ValueError: The image has another shape.
        """
        body = self.save(image, streamtype=BODY)
        return body if self.keep_header else body[len(self.header) : -len(EOI)]

    def text(self, image: Pixels) -> str:
        """The sequence of an image, as text for a tokenizer."""
        return bytes_to_text(self.encode(image))

    def prefix(self, image: Pixels, share: float) -> str:
        """The first MCUs of an image, as text, without the marker after the last one.

        Args:
            image: As in `encode`.
            share: Share of the image's MCUs, in [0, 1), rounded down; the paper's r. Without
                restart markers, MCUs end within bytes: the prefix ends with the last byte that
                holds nothing of later ones.
        """
        rows, columns = self.grid
        wanted, grammar = num_given(share, rows * columns), self.grammar
        if wanted == 0:
            return ""
        state, sequence = grammar.start, self.encode(image)
        for index, byte in enumerate(sequence):
            state = grammar.advance(state, byte)
            if state.done < wanted or (state.phase == "stuffing" and state.at in (0, FULL)):
                continue
            is_whole = state.done == wanted and (state.phase == "marker" or state.at == 0)
            return bytes_to_text(sequence[: index + is_whole])
        return bytes_to_text(sequence)

    def decoder_error(self, sequence: bytes) -> str | None:
        """First error or warning of libjpeg, or that size or colours differ from the codec's.

        Returns:
            None for a valid sequence. What `file` repairs counts as an error.
        """
        from simplejpeg import decode_jpeg, decode_jpeg_header

        file = self.joined(sequence)
        try:
            height, width, colours, _ = decode_jpeg_header(file)
            actual, expected = (height, width, colours), (self.height, self.width, self.colours)
            if actual != expected:
                return mismatch(actual, expected)
            decode_jpeg(file, "GRAY" if self.sampling == "grey" else "RGB")
        except ValueError as error:
            return str(error)
        return None

    @property
    def file_extension(self) -> str:
        """File extension, without the dot."""
        return "jpg"

    @property
    def alphabet(self) -> list[str]:
        """All characters of these texts."""
        return ALPHABET

    def fingerprint(self) -> str:
        """Settings, and the build of libjpeg."""
        builds = features.version("jpg"), features.version_feature("libjpeg_turbo")
        return json.dumps([type(self).__name__, *astuple(self), *builds])

    def file(self, sequence: bytes) -> bytes:
        """The JPEG file of a sequence.

        A truncated sequence gets the missing end-of-image marker, as in the paper's code: decoders
        then show what there is.
        """
        file = self.joined(sequence)
        return file if file.endswith(EOI) else file + EOI

    def joined(self, sequence: bytes) -> bytes:
        """A sequence with its constant parts restored, without repairs."""
        body = sequence if self.keep_header else self.header + sequence + EOI
        return body[:2] + self.tables[2:-2] + body[2:]

    def decode(self, sequence: bytes) -> Pixels:
        """The image of a sequence; of a truncated one, the decoder fills in the rest.

        Raises:
            OSError: It is no JPEG, or one of another size or other colours.
        """
        expected = self.height, self.width, "L" if self.sampling == "grey" else "RGB"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            try:
                image = Image.open(BytesIO(self.file(sequence)), formats=["JPEG"])
                actual = image.height, image.width, image.mode
                if actual != expected:
                    raise OSError(mismatch(actual, expected))
                return np.asarray(image)
            except Image.DecompressionBombError as error:
                raise OSError(str(error)) from error

    @cached_property
    def tables(self) -> bytes:
        """The stream of quantisation and Huffman tables."""
        return self.save(np.zeros(self.shape, np.uint8), streamtype=TABLES)

    @cached_property
    def header(self) -> bytes:
        """Everything before the scan; the same in all files."""
        body = self.save(np.zeros(self.shape, np.uint8), streamtype=BODY)
        return body[: last(body).end]

    @cached_property
    def grammar(self) -> JpegGrammar:
        """The grammar of sequences."""
        rows, columns = self.grid
        interval = {"mcu": 1, "row": columns, "none": rows * columns}[self.restart]
        huffman = [s for s in segments(self.tables) if s.marker == DHT]
        codes = SOI + b"".join(self.tables[s.start : s.end] for s in huffman) + EOI
        scan = make_scan(codes, BLOCKS[self.sampling])
        header = self.header if self.keep_header else b""
        return JpegGrammar(scan, rows * columns, interval, header, self.keep_header)

    def rules(self, tokenizer: Any) -> Rules:
        """Which tokens of a Hugging Face tokenizer of bytes as text may come next."""
        return TokenGrammar.of(self.grammar, tokenizer, JPEG)

    def check(self) -> None:
        """Check that a file, split and joined again, is the same.

        Raises:
            RuntimeError: It is not.
        """
        rng = np.random.default_rng(0)
        image = rng.integers(0, 256, self.shape, dtype=np.uint8)
        body = self.save(image, streamtype=BODY)
        if not body.startswith(self.header) or not body.endswith(EOI):
            raise RuntimeError("this libjpeg writes headers that depend on the image.")
        with Image.open(BytesIO(self.save(image))) as whole:
            is_equal = np.array_equal(np.asarray(whole), self.decode(self.encode(image)))
        if not is_equal:
            raise RuntimeError("this libjpeg's tables and image do not make up the whole file.")


@cache
def make_scan(codes: bytes, blocks: tuple[int, ...]) -> Scan:
    """The automaton of Huffman codes; cached, since all qualities share them."""
    return Scan(tuple(read_tables(codes)), blocks)


def mismatch(actual: tuple[int, int, str], expected: tuple[int, int, str]) -> str:
    """Message for another height or width, or other colours."""
    return "{}x{} pixels of {}, not {}x{} of {}".format(*actual, *expected)


def last(body: bytes) -> MarkerSegment:
    """The segment that starts the scan.

    Raises:
        ValueError: There is none.
    """
    *_, segment = segments(body)
    if segment.marker != SOS:
        raise ValueError("the file has no scan.")
    return segment
