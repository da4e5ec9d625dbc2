"""Clips as sequences of bytes: H.264 streams without their parameters (Han et al., 2024, app. D).

Streams are x264's own, in the byte format of ITU-T H.264, annex B. What is the same in all of them,
parameters of sequence and pictures, is cut out and put back when a file is wanted; x264's remarks
are left out.

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
"""The first two pictures, ordinarily, and where all hang on no other."""
DEFAULT_GOP = 250
"""x264's own."""
BOUNDS = {"frames": (1, 10_000), "height": (2, 4096), "width": (2, 4096), "qp": (1, 51)}


@dataclass(frozen=True)
class AvcCodec:
    """H.264 streams of clips of one length, size and setting, as a language model sees them.

    The settings are the paper's (app. D) unless said otherwise.

    Attributes:
        height: Of frames, in pixels; even.
        width: Likewise.
        frames: Of a clip.
        qp: x264's constant quantiser, 1 to 51; that of the first frame is a little finer.
        fps: Frames a second.
        gop: Frames from one that hangs on no other to the next, at most; None takes x264's 250. A
            cut in the clip begins a new one as well.
        slice_max_mbs: Macroblocks of a slice, at most: as many as a broken byte can harm. None
            makes one slice of a frame.

    Raises:
        ValueError: A number is out of bounds.
        RuntimeError: This build of x264 writes streams that cannot be taken apart in this way.
    """

    height: int
    width: int
    frames: int = 15
    qp: int = 37
    fps: int = 3
    gop: int | None = None
    slice_max_mbs: int | None = 1

    def __post_init__(self) -> None:
        """Refuse bad numbers, and an x264 that does not do."""
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
        """Frames, height, width, and 3 colours."""
        return self.frames, self.height, self.width, 3

    @property
    def options(self) -> dict[str, str]:
        """What x264 is told beyond the paper's options."""
        found = {"qp": str(self.qp)}
        if self.gop is not None:
            found["g"] = str(self.gop)
        if self.slice_max_mbs is not None:
            found["x264opts"] = f"slice-max-mbs={self.slice_max_mbs}"
        return found

    def encode_frames(self, clip: Clip) -> list[bytes]:
        """The sequence of a clip, frame by frame.

        Args:
            clip: uint8 [T, H, W, 3].

        Raises:
            ValueError: The clip has another shape.
        """
        if clip.shape != self.shape or clip.dtype != np.uint8:
            raise ValueError(f"clips are uint8 {self.shape}, got {clip.dtype} {clip.shape}.")
        return bare(x264.encode(clip, self.options, self.fps))

    def encode(self, clip: Clip) -> bytes:
        """The sequence of a clip, as `encode_frames` takes it.

        Raises:
            ValueError: The clip has another shape.
        """
        return b"".join(self.encode_frames(clip))

    def text(self, image: Clip) -> str:
        """The sequence of a clip, spelt for a tokenizer."""
        return bytes_to_text(self.encode(image))

    def prefix(self, image: Clip, share: float) -> str:
        """The first frames of a clip, spelt.

        Args:
            image: A clip, as `encode_frames` takes it.
            share: Of the clip's frames, in [0, 1), rounded down.
        """
        given = self.given(share)
        return bytes_to_text(b"".join(self.encode_frames(image)[:given]))

    def given(self, share: float) -> int:
        """Frames that a share of a clip is."""
        return num_given(share, self.frames)

    @property
    def file_extension(self) -> str:
        """File extension, without the dot."""
        return "h264"

    @property
    def alphabet(self) -> list[str]:
        """All characters of such texts."""
        return ALPHABET

    def fingerprint(self) -> str:
        """Settings, and the builds of x264 and FFmpeg."""
        return json.dumps([type(self).__name__, *astuple(self), x264.build(self.probe)])

    def file(self, sequence: bytes) -> bytes:
        """The file that a sequence stands for; H.264 players open it if it is whole."""
        return self.probe.parameters + sequence

    def decode(self, sequence: bytes) -> Clip:
        """The clip of a sequence; where frames are missing, the last one stands still.

        Raises:
            OSError: It has no frame, or one of another size.
        """
        found, trouble = x264.decode(self.file(sequence))
        if not found:
            raise OSError(f"no frame can be decoded: {trouble}.")
        found = found[: self.frames]
        wrong = self.wrong_size(found)
        if wrong is not None:
            raise OSError(wrong)
        return np.stack(found + found[-1:] * (self.frames - len(found)))

    def decoder_error(self, sequence: bytes) -> str | None:
        """What FFmpeg says of a file, warnings included; None where it has nothing to say."""
        found, trouble = x264.decode(self.file(sequence))
        if trouble is None and len(found) != self.frames:
            return f"{len(found)} frames and not {self.frames}"
        return trouble or self.wrong_size(found)

    def wrong_size(self, frames: list[Clip]) -> str | None:
        """The first height and width that are not the codec's; streams may name others."""
        sizes = (frame.shape[:2] for frame in frames)
        size = next((size for size in sizes if size != (self.height, self.width)), None)
        return None if size is None else f"{size} pixels and not {self.height, self.width}"

    @cached_property
    def grammar(self) -> AvcGrammar:
        """Which byte may follow which.

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
        """Which token of a Hugging Face tokenizer of spelt bytes may come next."""
        return TokenGrammar.of(self.grammar, tokenizer, AVC)

    # What x264 makes of these settings

    @cached_property
    def probe(self) -> x264.Stream:
        """The stream of two frames, of which the second one hangs on the first."""
        rows_H = np.arange(self.height, dtype=np.uint8)[:, None, None]
        columns_W = np.arange(self.width, dtype=np.uint8)[None, :, None]
        frame_HWC = np.repeat(rows_H + columns_W, 3, axis=2)
        return x264.encode(np.stack([frame_HWC, frame_HWC]), self.options, self.fps)

    @cached_property
    def parameters(self) -> Parameters:
        """What streams say once of all their pictures."""
        return read_parameters(self.probe.parameters)

    @cached_property
    def headers(self) -> Headers:
        """Writes the headers of slices."""
        slices = (units(frame)[0] for frame in bare(self.probe))
        first, second = (ending(self.parameters, unit) for unit in slices)
        return Headers(self.parameters, (first, second))

    def check(self) -> None:
        """Compare what x264 wrote with what is expected of it, and let FFmpeg read it."""
        try:
            expected = [self.headers.write(p, 0) for p in FIRST[self.gop == 1]]
        except ValueError as error:
            raise RuntimeError(f"{x264.build(self.probe)} is not known: {error}") from error
        for frame, bits in zip(bare(self.probe), expected, strict=True):
            if not "".join(f"{byte:08b}" for byte in units(frame)[0].payload).startswith(bits):
                raise RuntimeError(f"{x264.build(self.probe)} writes unknown headers of slices.")
        found, trouble = x264.decode(self.file(b"".join(bare(self.probe))))
        if trouble is not None or len(found) != len(expected):
            raise RuntimeError(f"FFmpeg reads {len(found)} frames of its own two: {trouble}.")


def bare(stream: x264.Stream) -> list[bytes]:
    """The slices of each frame, without remarks and parameters."""
    found = ([u for u in units(text) if u.kind in (SLICE, IDR_SLICE)] for text in stream.frames)
    return [join([frame]) for frame in found]
