"""Frames of a video file, sampled, rotated, scaled and padded by FFmpeg's filters.

Shape legend: T = frames, H, W = height and width in pixels, C = 3 colours.
"""

from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from math import atan2, degrees, hypot
from struct import unpack
from sys import byteorder
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray

from datamodules.records.errors import BadSampleError

if TYPE_CHECKING:  # the import takes long
    import av
    import av.filter

Clip = NDArray[np.uint8]
GUESS = 25
"""Frames per second of a stream that does not give it, as in FFmpeg."""
DEFAULT_BONUS = 5_000_000
"""Pixels that count in favour of a default stream."""


def shown_stream(container: "av.container.InputContainer") -> "av.VideoStream | None":
    """The stream that FFmpeg's command line selects: no cover, the default one, the largest."""
    from av.stream import Disposition

    def score(stream: "av.VideoStream") -> int:
        if stream.disposition & Disposition.attached_pic:
            return 1
        is_default = bool(stream.disposition & Disposition.default)
        return stream.width * stream.height + DEFAULT_BONUS * is_default

    return max(container.streams.video, key=score, default=None)


class ClipReader:
    """Frames of a video through the paper's filter, equal to those of FFmpeg's command line.

    Filters are built from the frames, and rebuilt where size, format or orientation changes:
    containers may give other values, and streams may change midway.

    Args:
        name: Name of the file, for messages.
        container: The opened file.
        shape: Frames, height and width.
        fps: Frames per second.

    Attributes:
        num_decoded: Frames decoded so far.
    """

    def __init__(
        self,
        name: str,
        container: "av.container.InputContainer",
        shape: tuple[int, int, int],
        fps: int,
    ):
        self.name = name
        self.container = container
        self.shape = shape
        self.fps = fps
        self.num_decoded = 0

    def frames(self) -> Iterator[Clip]:
        """The sampled frames, uint8 [H, W, C] each."""
        graph: av.filter.Graph | None = None
        known: object = None
        for frame in self.decoded():
            kind = frame.width, frame.height, frame.format.name, display_matrix(frame)
            if graph is None or kind != known:
                yield from () if graph is None else rest(graph)
                graph, known = self.filters(frame), kind
            graph.vpush(frame)
            yield from ready(graph)
        yield from () if graph is None else rest(graph)

    def decoded(self) -> Iterator["av.VideoFrame"]:
        """All frames, each with a time.

        Raises:
            BadSampleError: One is broken, or the first one depends on missing ones.
        """
        stream = shown_stream(self.container)
        if stream is None:
            raise BadSampleError(f"{self.name} has no video stream")
        stream.codec_context.thread_count = 1
        # of a raw stream, the demuxer invents every rate but its own
        rate = Fraction(stream.codec_context.framerate or stream.guessed_rate or GUESS)
        has_key = False
        for packet in self.container.demux(stream):
            has_key |= packet.is_keyframe  # an edit list may hide its frame
            for frame in packet.decode():
                if frame.is_corrupt:
                    raise BadSampleError(f"{self.name} is broken at frame {self.num_decoded + 1}")
                if not has_key and not frame.key_frame:
                    raise BadSampleError(f"{self.name} does not begin with a key frame")
                if frame.pts is None and stream.time_base is not None:
                    frame.time_base = stream.time_base
                    frame.pts = round(self.num_decoded / rate / stream.time_base)
                self.num_decoded += 1
                yield frame

    def filters(self, frame: "av.VideoFrame") -> "av.filter.Graph":
        """The paper's filter: frames per second, scaled to fit, padded to the centre."""
        import av.filter

        _, height, width = self.shape
        graph = av.filter.Graph()
        chain = [
            graph.add_buffer(
                width=frame.width,
                height=frame.height,
                format=frame.format,
                time_base=frame.time_base,
            ),
            graph.add("fps", f"{self.fps}"),
            *(graph.add(name, how) for name, how in upright(display_matrix(frame))),
            graph.add("scale", f"{width}:{height}:force_original_aspect_ratio=decrease"),
            graph.add("pad", f"{width}:{height}:(ow-iw)/2:(oh-ih)/2"),
            graph.add("buffersink"),
        ]
        graph.link_nodes(*chain).configure()
        return graph


def display_matrix(frame: "av.VideoFrame") -> tuple[int, ...] | None:
    """The display matrix of a frame, nine 32-bit numbers; None where there is none."""
    from av.sidedata.sidedata import SideData, Type

    every = cast(Iterable[SideData], frame.side_data)
    found = [data for data in every if data.type == Type.DISPLAYMATRIX]
    return unpack("<9i" if byteorder == "little" else ">9i", bytes(found[0])) if found else None


def upright(matrix: tuple[int, ...] | None) -> Sequence[tuple[str, str | None]]:
    """Filters that apply a display matrix, those of FFmpeg's command line.

    The matrix maps a point (x, y) to (a x + c y, b x + d y); it begins with a, b, -, c, d.
    """
    if matrix is None:
        return []
    a, b, _, c, d = matrix[:5]
    if not (hypot(a, c) and hypot(b, d)):
        return []
    angle = round(degrees(atan2(b / hypot(b, d), a / hypot(a, c)))) % 360
    if angle == 90:
        return [("transpose", "cclock_flip" if c > 0 else "clock")]
    if angle == 270:
        return [("transpose", "clock_flip" if c < 0 else "cclock")]
    if angle == 180:
        return [("hflip", None)] * (a < 0) + [("vflip", None)] * (d < 0)
    if angle == 0:
        return [("vflip", None)] * (d < 0)
    return [("rotate", f"{angle}*PI/180")]


def ready(graph: "av.filter.Graph") -> Iterator[Clip]:
    """The frames that the filters have ready, uint8 [H, W, C] each."""
    import av

    while True:
        try:
            frame = graph.vpull()
        except (av.error.BlockingIOError, av.error.EOFError):
            return
        yield frame.to_ndarray(format="rgb24").astype(np.uint8, copy=False)


def rest(graph: "av.filter.Graph") -> Iterator[Clip]:
    """The frames left in the filters after the last input."""
    graph.vpush(None)
    yield from ready(graph)
