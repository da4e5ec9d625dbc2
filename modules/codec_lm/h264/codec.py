"""Clips as byte sequences: H.264 streams without parameter sets (Han et al., 2024, app. D).

Streams are written by x264, in the byte stream format of ITU-T H.264, annex B. Their constant
parts, the sequence and picture parameter sets, are removed from sequences and restored in files;
x264's comments (SEI) are dropped. H.264 is also called AVC: hence AVC-LM, and the class names.

Shape legend: T = frames, H, W = height and width in pixels.
"""

import json
from dataclasses import astuple, dataclass
from functools import cached_property
from typing import Any

import numpy as np

from modules.codec_lm.byte_text import ALPHABET, bytes_to_text
from modules.codec_lm.h264 import x264
from modules.codec_lm.h264.bitstream.nal import IDR_SLICE, SLICE, join, units
from modules.codec_lm.h264.bitstream.parameter_sets import Parameters, read_parameters
from modules.codec_lm.h264.bitstream.slice_headers import Headers, Position, ending
from modules.codec_lm.h264.byte_kinds import AVC
from modules.codec_lm.h264.grammar import AvcGrammar
from modules.codec_lm.h264.x264 import Clip
from modules.codec_lm.prefix import num_given
from modules.codec_lm.rules import Rules
from modules.codec_lm.token_grammar import TokenGrammar

FIRST = (
    (Position("refresh", 0, 0), Position("moving", 1, 0)),
    (Position("refresh", 0, 0), Position("refresh", 0, 1)),
)
"""Positions of the first two frames, by default and if all frames are IDR frames."""
DEFAULT_GOP = 250
"""x264's default."""
BOUNDS = {"frames": (1, 10_000), "height": (2, 4096), "width": (2, 4096), "qp": (1, 51)}


@dataclass(frozen=True)
class AvcCodec:
    """H.264 streams of one length, size and setting, as byte sequences for a language model.

    The defaults are the paper's (app. D).

    Attributes:
        height: Height of frames, in pixels; even.
        width: Width of frames, in pixels; even.
        frames: Frames of a clip.
        qp: x264's constant quantiser, 1 to 51; the first frame gets a slightly finer one.
        fps: Frames per second.
        gop: Most frames from one IDR frame to the next; None for x264's 250. A scene cut starts a
            new group as well.
        slice_max_mbs: Most macroblocks of a slice, which is what a wrong byte can damage. None for
            one slice a frame.

    Raises:
        ValueError: A number is out of bounds.
        RuntimeError: Streams of this build of x264 are not those that the grammar knows.
    """

    height: int
    width: int
    frames: int = 15
    qp: int = 37
    fps: int = 3
    gop: int | None = None
    slice_max_mbs: int | None = 1

    def __post_init__(self) -> None:
        """Check the settings and the build of x264."""
        for name, (least, most) in BOUNDS.items():
            if not least <= getattr(self, name) <= most:
                raise ValueError(
                    f"{name} must be within [{least}, {most}], got {getattr(self, name)}."
                )
        if self.height % 2 or self.width % 2:
            raise ValueError(f"height and width must be even, got {self.height}x{self.width}.")
        for name in ("fps", "gop", "slice_max_mbs"):
            if getattr(self, name) is not None and getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}.")
        self.check()

    @property
    def shape(self) -> tuple[int, ...]:
        """(T, H, W, 3)."""
        return self.frames, self.height, self.width, 3

    @property
    def options(self) -> dict[str, str]:
        """Options of x264 besides the paper's."""
        options = {"qp": str(self.qp)}
        if self.gop is not None:
            options["g"] = str(self.gop)
        if self.slice_max_mbs is not None:
            options["x264opts"] = f"slice-max-mbs={self.slice_max_mbs}"
        return options

    def encode_frames(self, clip: Clip) -> list[bytes]:
        """The sequences of a clip's frames.

        Args:
            clip: uint8 [T, H, W, 3].

        Raises:
            ValueError: The clip has another shape.
        """
        if clip.shape != self.shape or clip.dtype != np.uint8:
            raise ValueError(f"clips are uint8 {self.shape}, got {clip.dtype} {clip.shape}.")
        return bare(x264.encode(clip, self.options, self.fps))

    def encode(self, clip: Clip) -> bytes:
        """The sequence of a clip, as in `encode_frames`.

        Raises:
            ValueError: The clip has another shape.
        """
        return b"".join(self.encode_frames(clip))

    def text(self, image: Clip) -> str:
        """The sequence of a clip, as text for a tokenizer."""
        return bytes_to_text(self.encode(image))

    def prefix(self, image: Clip, share: float) -> str:
        """The first frames of a clip, as text.

        Args:
            image: A clip, as in `encode_frames`.
            share: Share of the clip's frames, in [0, 1), rounded down.
        """
        given = self.given(share)
        return bytes_to_text(b"".join(self.encode_frames(image)[:given]))

    def given(self, share: float) -> int:
        """Number of frames in a share of a clip."""
        return num_given(share, self.frames)

    @property
    def file_extension(self) -> str:
        """File extension, without the dot."""
        return "h264"

    @property
    def alphabet(self) -> list[str]:
        """All characters of these texts."""
        return ALPHABET

    def fingerprint(self) -> str:
        """Settings, and the builds of x264 and FFmpeg."""
        return json.dumps([type(self).__name__, *astuple(self), x264.build(self.probe)])

    def file(self, sequence: bytes) -> bytes:
        """The H.264 file of a sequence."""
        return self.probe.parameters + sequence

    def decode(self, sequence: bytes) -> Clip:
        """The clip of a sequence; the last frame is repeated for missing ones.

        Raises:
            OSError: It has no frame, or one of another size.
        """
        frames, error = x264.decode(self.file(sequence))
        if not frames:
            raise OSError(f"no frame can be decoded: {error}.")
        frames = frames[: self.frames]
        wrong = self.wrong_size(frames)
        if wrong is not None:
            raise OSError(wrong)
        return np.stack(frames + frames[-1:] * (self.frames - len(frames)))

    def decoder_error(self, sequence: bytes) -> str | None:
        """First error or warning of FFmpeg, or that number or size of frames are wrong.

        Returns:
            None for a valid sequence.
        """
        frames, error = x264.decode(self.file(sequence))
        if error is None and len(frames) != self.frames:
            return f"{len(frames)} frames and not {self.frames}"
        return error or self.wrong_size(frames)

    def wrong_size(self, frames: list[Clip]) -> str | None:
        """Message on the first frame whose size is not the codec's; streams may give another."""
        sizes = (frame.shape[:2] for frame in frames)
        size = next((size for size in sizes if size != (self.height, self.width)), None)
        return None if size is None else f"{size} pixels and not {self.height, self.width}"

    @cached_property
    def grammar(self) -> AvcGrammar:
        """The grammar of sequences.

        Raises:
            ValueError: Slices have more than one macroblock each.
        """
        if self.slice_max_mbs != 1:
            raise ValueError(
                f"slice_max_mbs is {self.slice_max_mbs}, but only slices of one macroblock have a "
                "grammar: set it to 1."
            )
        gop = DEFAULT_GOP if self.gop is None else self.gop
        return AvcGrammar(self.headers, self.frames, gop)

    def rules(self, tokenizer: Any) -> Rules:
        """Which tokens of a Hugging Face tokenizer of bytes as text may come next."""
        return TokenGrammar.of(self.grammar, tokenizer, AVC)

    # What x264 writes with these settings

    @cached_property
    def probe(self) -> x264.Stream:
        """A stream of two frames, the second predicted from the first."""
        rows_H = np.arange(self.height, dtype=np.uint8)[:, None, None]
        columns_W = np.arange(self.width, dtype=np.uint8)[None, :, None]
        frame_HWC = np.repeat(rows_H + columns_W, 3, axis=2)
        return x264.encode(np.stack([frame_HWC, frame_HWC]), self.options, self.fps)

    @cached_property
    def parameters(self) -> Parameters:
        """The parameter sets of streams."""
        return read_parameters(self.probe.parameters)

    @cached_property
    def headers(self) -> Headers:
        """Writes slice headers."""
        slices = (units(frame)[0] for frame in bare(self.probe))
        first, second = (ending(self.parameters, unit) for unit in slices)
        return Headers(self.parameters, (first, second))

    def check(self) -> None:
        """Compare what x264 writes with what the grammar expects, and decode it with FFmpeg.

        Raises:
            RuntimeError: They differ, or FFmpeg reports an error.
        """
        try:
            expected = [self.headers.write(p, 0) for p in FIRST[self.gop == 1]]
        except ValueError as error:
            raise RuntimeError(f"{x264.build(self.probe)} is not known: {error}") from error
        for frame, bits in zip(bare(self.probe), expected, strict=True):
            if not "".join(f"{byte:08b}" for byte in units(frame)[0].payload).startswith(bits):
                raise RuntimeError(f"{x264.build(self.probe)} writes unknown headers of slices.")
        frames, fault = x264.decode(self.file(b"".join(bare(self.probe))))
        if fault is not None or len(frames) != len(expected):
            raise RuntimeError(f"FFmpeg reads {len(frames)} frames of its own two: {fault}.")


def bare(stream: x264.Stream) -> list[bytes]:
    """The slices of each frame, without comments and parameter sets."""
    frames = ([u for u in units(text) if u.kind in (SLICE, IDR_SLICE)] for text in stream.frames)
    return [join([frame]) for frame in frames]
