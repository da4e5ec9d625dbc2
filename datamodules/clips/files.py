"""Sources of clips: their interface, and clips of video files.

Shape legend: T = frames, H, W = height and width in pixels, C = 3 colours.
"""

import json
from abc import abstractmethod
from itertools import islice
from pathlib import Path
from typing import ClassVar

import numpy as np
from typing_extensions import override

from datamodules.clips.reader import Clip, ClipReader
from datamodules.records.document import printable
from datamodules.records.errors import BadSampleError
from datamodules.records.faults import blaming
from datamodules.records.formats.files import describe, find_files
from datamodules.records.remote.address import short_name
from datamodules.records.remote.file import File, in_copy
from datamodules.records.source import IndexedSource

CONTAINERS = tuple(
    ".mp4 .m4v .mov .mkv .webm .avi .mpg .mpeg .ts .ogv .flv .wmv .264 .h264 .jsv .jvt .26l".split()
)
"""Suffixes of video files in a folder."""
VERSION = 2
"""Raised when the same file gives another clip, so that caches made from it are rebuilt."""


class ClipSource(IndexedSource):
    """A named, weighted supply of clips, each found by its index.

    Args:
        weight: Share of the rows of an epoch, relative to the other sources; above 0.

    Attributes:
        is_of_files: Whether clips come from compressed videos, with their loss.
    """

    is_of_files: ClassVar[bool] = False

    def check(self, shape: tuple[int, int, int]) -> None:
        """Refuse a shape that no clip of this source can have.

        Args:
            shape: Frames, height and width.

        Raises:
            ValueError: The shape is impossible; the message gives the reason.
        """

    @abstractmethod
    def clip(self, index: int, shape: tuple[int, int, int]) -> Clip:
        """One clip.

        Args:
            index: Its index, from 0.
            shape: Frames, height and width.

        Returns:
            Uint8 [T, H, W, C].

        Raises:
            BadSampleError: The clip is broken or too short; the message gives the reason.
        """


class VideoFiles(ClipSource):
    """The first frames of every video of a folder, at a low rate (Han et al., 2024, app. D).

    Frames are chosen, resized and padded by FFmpeg, with the paper's filter.

    Args:
        path: A file, a folder (every video below it) or a glob; any container that FFmpeg knows, or
            a bare H.264 stream.
        fps: Frames per second of a clip.
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
        self._found: list[File] | None = None

    @property
    @override
    def name(self) -> str:
        return short_name(self.path)

    @property
    def paths(self) -> list[File]:
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
    def location(self, index: int) -> str:
        return printable(str(self.paths[index]))

    @override
    def fingerprint(self) -> str:
        return json.dumps(["VideoFiles", self.fps, describe(self.paths)])

    @override
    def clip(self, index: int, shape: tuple[int, int, int]) -> Clip:
        return in_copy(self.paths[index], lambda path: read_clip(path, shape, self.fps))


def video_files(path: str) -> list[File]:
    """The videos at a path, sorted.

    Args:
        path: A file, a folder (every video below it) or a glob.

    Raises:
        FileNotFoundError: There is none.
    """
    return find_files(path, CONTAINERS)


def read_clip(path: Path, shape: tuple[int, int, int], fps: int) -> Clip:
    """The first frames of a video, upright.

    Args:
        path: The video file.
        shape: Frames, height and width.
        fps: Frames per second.

    Returns:
        Uint8 [T, H, W, C].

    Raises:
        BadSampleError: The file is empty, broken, or too short; names it.
    """
    import av

    with blaming(f"{path.name} cannot be decoded"):
        if path.stat().st_size == 0:
            raise BadSampleError(f"{path.name} is empty")
        with av.open(f"file:{path}") as container:
            reader = ClipReader(path.name, container, shape, fps)
            frames = list(islice(reader.frames(), shape[0]))
    if not reader.num_decoded:
        raise BadSampleError(f"{path.name} has no frame that can be decoded")
    if len(frames) < shape[0]:
        raise BadSampleError(
            f"{path.name} has {reader.num_decoded} frames, which are {len(frames)} at {fps} a "
            f"second; {shape[0]} are needed"
        )
    return np.stack(frames)
