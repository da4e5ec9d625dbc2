"""H.264 streams: encoded by x264, decoded by FFmpeg (Han et al., 2024, app. D).

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
"""The paper's options, by FFmpeg's names. One thread is used besides, for reproducible streams."""

HARMLESS = "Possibly too many slices"
"""FFmpeg's warning on frames of 32 slices or more. It matters only if slices of a frame differ in
their reference frames, and x264's do not."""


@dataclass(frozen=True)
class Stream:
    """A clip, as encoded by x264.

    Attributes:
        parameters: The parameter sets.
        frames: Bytes of the units of each frame; x264's comment is in the first.
    """

    parameters: bytes
    frames: list[bytes]


def encode(clip_THWC: Clip, options: dict[str, str], fps: int) -> Stream:
    """The stream of a clip.

    Args:
        clip_THWC: uint8 [T, H, W, 3], of even height and width.
        options: Options besides the paper's.
        fps: Frames per second.

    Raises:
        RuntimeError: PyAV was built without x264.
    """
    encoder = _encoder(clip_THWC.shape[1:3], {**OPTIONS, **options}, fps)
    packets = []
    for index, frame_HWC in enumerate(clip_THWC):
        frame = av.VideoFrame.from_ndarray(frame_HWC, format="rgb24").reformat(format="yuv420p")
        frame.pts = index
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
    """The frames of a stream, and the first error.

    Returns:
        The frames that can be decoded, uint8 [H, W, 3] each, and FFmpeg's first error or warning;
        None if there is none.
    """
    frames: list[Any] = []
    errors: list[str] = []
    decoder: Any = av.CodecContext.create(DECODER, "r")
    decoder.thread_count = 1
    with captured_log() as log:
        for packet in [*decoder.parse(stream), *decoder.parse(None), None]:
            try:
                frames += decoder.decode(packet)
            except av.error.FFmpegError as error:
                errors.append(str(error.strerror))
        decoded = [frame.to_ndarray(format="rgb24") for frame in frames]
    logged = [message.strip() for _, _, message in log]
    errors = [message for message in logged if not message.startswith(HARMLESS)] + errors
    errors += ["a frame is corrupt" for frame in frames if frame.is_corrupt]
    return decoded, errors[0] if errors else None


@contextmanager
def captured_log() -> Iterator[list[Any]]:
    """Capture FFmpeg's log in this thread, down to level INFO.

    Yields:
        Level, source and text of each message.
    """
    before = av.logging.get_level(), av.logging.get_skip_repeated()
    av.logging.set_level(av.logging.INFO)  # it logs concealed errors at this level
    av.logging.set_skip_repeated(False)
    try:
        with av.logging.Capture(local=True) as messages:
            yield messages
    finally:
        av.logging.set_level(before[0])
        av.logging.set_skip_repeated(before[1])


def build(stream: Stream) -> str:
    """Versions of x264 and FFmpeg that made a stream."""
    units = b"".join(stream.frames)
    at = units.find(b"x264 - core ")
    core = units[at : units.find(b" - H.264", at)].decode() if at >= 0 else "x264"
    return f"{core}, avcodec {av.library_versions['libavcodec']}"
