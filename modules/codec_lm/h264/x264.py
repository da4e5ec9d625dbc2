"""H.264 streams of clips by x264, and back again by FFmpeg (Han et al., 2024, app. D).

Shape legend: T = frames, H, W = height and width in pixels.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av
import av.logging
import numpy as np
from numpy.typing import NDArray

Clip = NDArray[np.uint8]
ENCODER, DECODER = "libx264", "h264"
OPTIONS = {
    "profile": "baseline",
    "bf": "0",
    "trellis": "0",
    "me_method": "dia",
    "subq": "0",
    "psy": "0",
    "mixed-refs": "0",
    "fast-pskip": "0",
    "partitions": "none",
    "refs": "3",
}
"""The paper's, as FFmpeg names them; one thread on top of them, so that all runs are the same."""

HARMLESS = "Possibly too many slices"
"""FFmpeg's remark on every frame of 32 slices or more; they do harm if they differ in the earlier
frames they hang on, and x264's do not."""


@dataclass(frozen=True)
class Stream:
    """A clip as x264 gives it.

    Attributes:
        parameters: What it says once of the whole stream.
        frames: One text of units for each frame; x264's remarks stand in the first one.
    """

    parameters: bytes
    frames: list[bytes]


def encode(clip_THWC: Clip, options: dict[str, str], fps: int) -> Stream:
    """The stream of a clip.

    Args:
        clip_THWC: uint8 [T, H, W, 3], of an even height and width.
        options: On top of the paper's.
        fps: Frames a second.

    Raises:
        RuntimeError: PyAV was built without x264.
    """
    encoder = _encoder(clip_THWC.shape[1:3], {**OPTIONS, **options}, fps)
    packets = []
    for number, frame_HWC in enumerate(clip_THWC):
        frame = av.VideoFrame.from_ndarray(frame_HWC, format="rgb24").reformat(format="yuv420p")
        frame.pts = number
        packets += encoder.encode(frame)
    packets += encoder.encode(None)
    return Stream(bytes(encoder.extradata or b""), [bytes(packet) for packet in packets])


def _encoder(size: tuple[int, ...], options: dict[str, str], fps: int) -> Any:
    try:
        encoder: Any = av.CodecContext.create(ENCODER, "w")
    except av.codec.codec.UnknownCodecError as error:
        raise RuntimeError(f"this build of PyAV ({av.__version__}) has no {ENCODER}.") from error
    encoder.height, encoder.width = size
    encoder.pix_fmt = "yuv420p"
    encoder.framerate, encoder.time_base = Fraction(fps), Fraction(1, fps)
    encoder.thread_count = 1
    encoder.flags |= av.codec.context.Flags.global_header
    encoder.options = options
    encoder.open()
    return encoder


def decode(stream: bytes) -> tuple[list[Clip], str | None]:
    """The frames of a stream, and what is wrong with it.

    Returns:
        Those frames that can be decoded, uint8 [H, W, 3] each, and the first thing that FFmpeg
        complains of; None if there is nothing.
    """
    frames: list[Any] = []
    trouble: list[str] = []
    decoder: Any = av.CodecContext.create(DECODER, "r")
    decoder.thread_count = 1
    with hearing() as heard:
        for packet in [*decoder.parse(stream), *decoder.parse(None), None]:
            try:
                frames += decoder.decode(packet)
            except av.error.FFmpegError as error:
                trouble.append(str(error.strerror))
        pixels = [frame.to_ndarray(format="rgb24") for frame in frames]
    said = [message.strip() for _, _, message in heard]
    trouble = [message for message in said if not message.startswith(HARMLESS)] + trouble
    trouble += ["a frame is corrupt" for frame in frames if frame.is_corrupt]
    return pixels, trouble[0] if trouble else None


@contextmanager
def hearing() -> Iterator[list[Any]]:
    """Keeps what FFmpeg says in this thread, down to what it tells by the way.

    Yields:
        Level, speaker and text of each remark.
    """
    before = av.logging.get_level(), av.logging.get_skip_repeated()
    av.logging.set_level(av.logging.INFO)  # that it conceals something is no warning to it
    av.logging.set_skip_repeated(False)
    try:
        with av.logging.Capture(local=True) as messages:
            yield messages
    finally:
        av.logging.set_level(before[0])
        av.logging.set_skip_repeated(before[1])


def build(stream: Stream) -> str:
    """Which x264 and FFmpeg made a stream."""
    text = b"".join(stream.frames)
    at = text.find(b"x264 - core ")
    core = text[at : text.find(b" - H.264", at)].decode() if at >= 0 else "x264"
    return f"{core}, avcodec {av.library_versions['libavcodec']}"
