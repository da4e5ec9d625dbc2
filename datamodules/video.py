"""Clips: what a source of them is, and clips of video files.

Shape legend: T = frames, H, W = height and width in pixels, C = 3 colours.
"""

import json
from abc import abstractmethod
from collections.abc import Iterator
from fractions import Fraction
from glob import glob
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from datamodules.quarantine import UnusableError
from datamodules.roots import missing
from datamodules.source import NumberedSource
from datamodules.text_source import describe

if TYPE_CHECKING:  # the import takes long
    import av

Clip = NDArray[np.uint8]
CONTAINERS = frozenset(
    ".mp4 .m4v .mov .mkv .webm .avi .mpg .mpeg .ts .ogv .flv .wmv .264 .h264 .jsv .jvt .26l".split()
)
"""What the files of a folder end in."""
GUESS = 25
"""Frames a second of a stream that does not say it, as FFmpeg has it."""


class ClipSource(NumberedSource):
    """A named, weighted supply of clips, each found by its index.

    Args:
        weight: Share of the rows of an epoch, relative to the other sources; above 0.

    Attributes:
        is_of_files: Whether clips come from compressed videos, and have their losses.
    """

    is_of_files: ClassVar[bool] = False

    @abstractmethod
    def clip(self, index: int, shape: tuple[int, int, int]) -> Clip:
        """One clip.

        Args:
            index: Its number, from 0.
            shape: Frames, height and width.

        Returns:
            Uint8 [T, H, W, C].

        Raises:
            UnusableError: The clip is broken or too short; says how.
        """


class VideoFiles(ClipSource):
    """The beginning of every video of a folder, in few frames a second (Han et al., 2024, app. D).

    Frames are chosen, resized and padded by FFmpeg, with the paper's filter.

    Args:
        path: A file, a folder (every video below it) or a glob; any container that FFmpeg knows, or
            a bare H.264 stream.
        fps: Frames a second that are taken.
        weight: Share of the rows of an epoch, relative to the other sources; above 0.

    Raises:
        ValueError: `fps` is below 1.
    """

    is_of_files = True

    def __init__(self, path: str, fps: int = 3, weight: float = 1.0):
        super().__init__(weight)
        if fps < 1:
            raise ValueError(f"fps must be at least 1, got {fps}.")
        self.path = path
        self.fps = fps
        self._found: list[Path] | None = None

    @property
    @override
    def name(self) -> str:
        return "/".join(Path(self.path).parts[-2:])

    @property
    def paths(self) -> list[Path]:
        """The files, sorted.

        Raises:
            FileNotFoundError: There is none.
        """
        if self._found is None:
            self._found = video_files(self.path)
        return self._found

    @override
    def __len__(self) -> int:
        return len(self.paths)

    @override
    def place(self, index: int) -> str:
        return str(self.paths[index])

    @override
    def fingerprint(self) -> str:
        return json.dumps(["VideoFiles", self.fps, describe(self.paths)])

    @override
    def clip(self, index: int, shape: tuple[int, int, int]) -> Clip:
        return read_clip(self.paths[index], shape, self.fps)


def video_files(path: str) -> list[Path]:
    """The videos that a path names, sorted.

    Args:
        path: A file, a folder (every video below it) or a glob.

    Raises:
        FileNotFoundError: There is none.
    """
    if Path(path).is_dir():
        found = [file for file in Path(path).rglob("*") if file.suffix.lower() in CONTAINERS]
    else:
        found = [Path(path)] if Path(path).exists() else [*map(Path, glob(path, recursive=True))]
    files = sorted(file for file in found if file.is_file())
    if not files:
        raise missing(f"{path}/*.mp4" if Path(path).is_dir() else path)
    return files


def read_clip(path: Path, shape: tuple[int, int, int], fps: int) -> Clip:
    """The beginning of a video.

    Args:
        path: Of its file.
        shape: Frames, height and width.
        fps: Frames a second.

    Returns:
        Uint8 [T, H, W, C].

    Raises:
        UnusableError: The file is empty, broken, or too short; names it.
    """
    import av

    if path.stat().st_size == 0:
        raise UnusableError(f"{path.name} is empty")
    try:
        with av.open(f"file:{path}") as container:
            found = list(islice(_frames(container, path, shape, fps), shape[0]))
    except (av.error.FFmpegError, av.error.EOFError) as error:
        raise UnusableError(f"{path.name} cannot be decoded: {error.strerror}") from error
    if not found:
        raise UnusableError(f"{path.name} has no frame that can be decoded")
    if len(found) < shape[0]:
        raise UnusableError(
            f"{path.name} has {len(found)} frames at {fps} a second, {shape[0]} are needed"
        )
    return np.stack(found)


def _frames(
    container: "av.container.InputContainer", path: Path, shape: tuple[int, int, int], fps: int
) -> Iterator[Clip]:
    """The frames of a file through the paper's filter, uint8 [H, W, C] each."""
    import av

    if not container.streams.video:
        raise UnusableError(f"{path.name} has no video stream")
    stream = container.streams.video[0]
    stream.codec_context.thread_count = 1
    assert stream.time_base is not None
    filters = _filters(stream, shape, fps)
    rate = Fraction(stream.average_rate or stream.guessed_rate or GUESS)
    for number, frame in enumerate(container.decode(stream)):
        if frame.is_corrupt:
            raise UnusableError(f"{path.name} is broken at frame {number + 1}")
        if number == 0 and not frame.key_frame:
            raise UnusableError(f"{path.name} does not begin with a key frame")
        if frame.pts is None:
            frame.pts = round(number / rate / stream.time_base)
        filters.vpush(frame)
        yield from _pull(filters)
    filters.vpush(None)
    try:
        yield from _pull(filters)
    except av.error.EOFError:
        return


def _filters(stream: "av.VideoStream", shape: tuple[int, int, int], fps: int) -> "av.filter.Graph":
    """The paper's: so many frames a second, scaled to fit, and padded in the middle."""
    import av.filter

    _, height, width = shape
    graph = av.filter.Graph()
    chain = [
        graph.add_buffer(template=stream),
        graph.add("fps", f"{fps}"),
        graph.add("scale", f"{width}:{height}:force_original_aspect_ratio=decrease"),
        graph.add("pad", f"{width}:{height}:(ow-iw)/2:(oh-ih)/2"),
        graph.add("buffersink"),
    ]
    graph.link_nodes(*chain).configure()
    return graph


def _pull(filters: "av.filter.Graph") -> Iterator[Clip]:
    """What the filters have ready."""
    import av

    while True:
        try:
            frame = filters.vpull()
        except av.error.BlockingIOError:
            return
        yield frame.to_ndarray(format="rgb24").astype(np.uint8, copy=False)
