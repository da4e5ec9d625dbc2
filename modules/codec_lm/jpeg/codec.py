"""Images as sequences of bytes: baseline JPEG files without their tables (Han et al., 2024).

Files are Pillow's own (libjpeg). What is the same in all of them, quantisation and Huffman tables,
and if wished the header, is cut out and put back when a file is wanted.
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
from modules.codec_lm.jpeg.markers import DHT, SOS, Segment, segments
from modules.codec_lm.jpeg.scan import FULL, Scan
from modules.codec_lm.prefix import num_given
from modules.codec_lm.rules import Rules
from modules.codec_lm.token_grammar import TokenGrammar

Pixels = NDArray[np.uint8]
Sampling = Literal["4:2:0", "4:4:4", "grey"]
Restart = Literal["mcu", "row", "none"]
TABLES, BODY = 1, 2
"""Pillow's stream types: tables alone, and the image alone."""
SOI, EOI = b"\xff\xd8", b"\xff\xd9"
CELL = {"4:2:0": 16, "4:4:4": 8, "grey": 8}
"""Side of a minimum coded unit (MCU), in pixels."""
BLOCKS = {"4:2:0": (0, 0, 0, 0, 1, 1), "4:4:4": (0, 1, 1), "grey": (0,)}
"""Kind of component, luminance or chrominance, of the blocks of an MCU."""


@dataclass(frozen=True)
class JpegCodec:
    """JPEG files of one size and setting, as a language model sees them.

    The settings are the paper's (app. D) unless said otherwise.

    Attributes:
        height: Of images, in pixels.
        width: Likewise.
        quality: libjpeg's quality, 1 to 100.
        sampling: Chrominance at half the resolution ("4:2:0") or the whole, or none.
        restart: A restart marker behind every MCU, behind every row of them, or none.
        keep_header: Whether sequences keep the header, which is the same in all, and the
            end-of-image marker.

    Raises:
        ValueError: A number is out of bounds, or a name is not known.
        RuntimeError: This build of libjpeg writes files that cannot be taken apart in this way.
    """

    height: int
    width: int
    quality: int = 25
    sampling: Sampling = "4:2:0"
    restart: Restart = "mcu"
    keep_header: bool = True

    def __post_init__(self) -> None:
        """Refuse bad numbers, and a libjpeg that does not do."""
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
        """Height and width, and 3 if there are colours."""
        return (self.height, self.width) + (() if self.sampling == "grey" else (3,))

    @property
    def grid(self) -> tuple[int, int]:
        """Rows of MCUs, and MCUs of a row."""
        side = CELL[self.sampling]
        return -(-self.height // side), -(-self.width // side)

    @property
    def colours(self) -> str:
        """Simplejpeg's name of what the components are."""
        return "Gray" if self.sampling == "grey" else "YCbCr"

    def save(self, image: Pixels, **options: Any) -> bytes:
        """A whole file, or a part of it."""
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
        """The sequence of an image, spelt for a tokenizer."""
        return bytes_to_text(self.encode(image))

    def prefix(self, image: Pixels, share: float) -> str:
        """The first part of an image, spelt: whole MCUs, and no marker behind the last one.

        Args:
            image: As `encode` takes it.
            share: Of the image's MCUs, in [0, 1), rounded down; the paper's r. Without restart
                markers, MCUs end within bytes: the part then ends with the last whole byte of them.
        """
        rows, columns = self.grid
        wanted, grammar = num_given(share, rows * columns), self.grammar
        if wanted == 0:
            return ""
        state, sequence = grammar.start, self.encode(image)
        for number, byte in enumerate(sequence):
            state = grammar.advance(state, byte)
            if state.done < wanted or (state.phase == "stuffing" and state.at in (0, FULL)):
                continue
            is_whole = state.done == wanted and (state.phase == "marker" or state.at == 0)
            return bytes_to_text(sequence[: number + is_whole])
        return bytes_to_text(sequence)

    def decoder_error(self, sequence: bytes) -> str | None:
        """What libjpeg says of a sequence, warnings included, or that it has another size.

        Returns:
            None where there is nothing to say. What `file` mends is complained of.
        """
        from simplejpeg import decode_jpeg, decode_jpeg_header

        file = self.joined(sequence)
        try:
            height, width, colours, _ = decode_jpeg_header(file)
            found, wanted = (height, width, colours), (self.height, self.width, self.colours)
            if found != wanted:
                return different(found, wanted)
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
        """All characters of such texts."""
        return ALPHABET

    def fingerprint(self) -> str:
        """Settings, and what this build of libjpeg makes of them."""
        builds = features.version("jpg"), features.version_feature("libjpeg_turbo")
        return json.dumps([type(self).__name__, *astuple(self), *builds])

    def file(self, sequence: bytes) -> bytes:
        """The file that a sequence stands for; every JPEG decoder opens it if it is whole.

        One that breaks off gets the end-of-image marker that it lacks, as in the paper's own code:
        decoders then show what there is.
        """
        file = self.joined(sequence)
        return file if file.endswith(EOI) else file + EOI

    def joined(self, sequence: bytes) -> bytes:
        """A sequence and what was cut out of it, nothing mended."""
        body = sequence if self.keep_header else self.header + sequence + EOI
        return body[:2] + self.tables[2:-2] + body[2:]

    def decode(self, sequence: bytes) -> Pixels:
        """The image of a sequence; where that breaks off, what is missing is grey or a guess.

        Raises:
            OSError: It is none, or one of another size or of other colours.
        """
        wanted = self.height, self.width, "L" if self.sampling == "grey" else "RGB"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            try:
                image = Image.open(BytesIO(self.file(sequence)), formats=["JPEG"])
                found = image.height, image.width, image.mode
                if found != wanted:
                    raise OSError(different(found, wanted))
                return np.asarray(image)
            except Image.DecompressionBombError as error:
                raise OSError(str(error)) from error

    @cached_property
    def tables(self) -> bytes:
        """The stream of quantisation and Huffman tables."""
        return self.save(np.zeros(self.shape, np.uint8), streamtype=TABLES)

    @cached_property
    def header(self) -> bytes:
        """What all sequences begin with: everything before the scan."""
        body = self.save(np.zeros(self.shape, np.uint8), streamtype=BODY)
        return body[: last(body).end]

    @cached_property
    def grammar(self) -> JpegGrammar:
        """Which byte may follow which."""
        rows, columns = self.grid
        interval = {"mcu": 1, "row": columns, "none": rows * columns}[self.restart]
        found = [s for s in segments(self.tables) if s.marker == DHT]
        codes = SOI + b"".join(self.tables[s.start : s.end] for s in found) + EOI
        scan = make_scan(codes, BLOCKS[self.sampling])
        header = self.header if self.keep_header else b""
        return JpegGrammar(scan, rows * columns, interval, header, self.keep_header)

    def rules(self, tokenizer: Any) -> Rules:
        """Which token of a Hugging Face tokenizer of spelt bytes may come next."""
        return TokenGrammar.of(self.grammar, tokenizer, JPEG)

    def check(self) -> None:
        """Take a file apart and put it together again."""
        dice = np.random.default_rng(0)
        image = dice.integers(0, 256, self.shape, dtype=np.uint8)
        body = self.save(image, streamtype=BODY)
        if not body.startswith(self.header) or not body.endswith(EOI):
            raise RuntimeError("this libjpeg writes headers that depend on the image.")
        with Image.open(BytesIO(self.save(image))) as whole:
            is_equal = np.array_equal(np.asarray(whole), self.decode(self.encode(image)))
        if not is_equal:
            raise RuntimeError("this libjpeg's tables and image do not make up the whole file.")


@cache
def make_scan(codes: bytes, blocks: tuple[int, ...]) -> Scan:
    """The automaton of some Huffman codes, made once; other qualities have the same."""
    return Scan(tuple(read_tables(codes)), blocks)


def different(found: tuple[int, int, str], wanted: tuple[int, int, str]) -> str:
    """That an image has another height or width, or other colours."""
    return "{}x{} pixels of {}, not {}x{} of {}".format(*found, *wanted)


def last(body: bytes) -> Segment:
    """The segment that begins the scan."""
    *_, segment = segments(body)
    if segment.marker != SOS:
        raise ValueError("the file has no scan.")
    return segment
