"""Clips of phones, of trims and of streams that change, as FFmpeg's command line shows them."""

import struct
from contextlib import suppress

import av
import numpy as np
import pytest

from datamodules.clips.files import VideoFiles, read_clip
from datamodules.records.errors import BadSampleError
from tests.fixtures.odd_images import photo

SHAPE = (4, 64, 64)


def write(path, size=(96, 128), rate=15, num=30, first=0, kind="libx264"):
    """A video in which an image becomes lighter."""
    form = "h264" if path.suffix == ".264" else None
    with av.open(str(path), "w", format=form) as container:
        stream = container.add_stream(kind, rate=rate)
        stream.height, stream.width, stream.pix_fmt = *size, "yuv420p"
        stream.codec_context.options = {"crf": "8", "g": str(num)}
        for number in range(num):
            shown = image(number + first, size)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(shown, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def image(number, size):
    return (photo(*size) // 2 + 2 * number).astype(np.uint8)


def shown(number, size):
    """Such an image scaled to fit and padded, by hand."""
    height, width = size
    scale = min(SHAPE[1] / height, SHAPE[2] / width)
    frame = av.VideoFrame.from_ndarray(image(number, size), format="rgb24")
    small = frame.reformat(round(width * scale), round(height * scale)).to_ndarray(format="rgb24")
    canvas = np.zeros((*SHAPE[1:], 3), np.uint8)
    top, left = ((full - part) // 2 for full, part in zip(SHAPE[1:], small.shape, strict=False))
    canvas[top : top + small.shape[0], left : left + small.shape[1]] = small
    return canvas


def apart(first, second):
    return np.abs(first.astype(int) - second.astype(int)).mean()


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return write(tmp_path_factory.mktemp("clips") / "whole.mp4")


WAYS = {
    (1, 0, 0, 1): lambda a: a,
    (0, 1, -1, 0): lambda a: np.rot90(a, -1, (1, 2)),
    (-1, 0, 0, -1): lambda a: a[:, ::-1, ::-1],
    (0, -1, 1, 0): lambda a: np.rot90(a, 1, (1, 2)),
    (-1, 0, 0, 1): lambda a: a[:, :, ::-1],
    (1, 0, 0, -1): lambda a: a[:, ::-1],
    (0, 1, 1, 0): lambda a: a.transpose(0, 2, 1, 3),
    (0, -1, -1, 0): lambda a: a[:, ::-1, ::-1].transpose(0, 2, 1, 3),
}
"""Where a display matrix takes right and down, and the same in words of arrays."""


@pytest.mark.parametrize("matrix", WAYS)
def test_a_clip_is_upright_whichever_way_the_phone_was_held(tmp_path, whole, matrix):
    content = bytearray(whole.read_bytes())
    at = content.index(b"tkhd") + 4 + 40
    a, b, c, d = (number << 16 for number in matrix)
    content[at : at + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    turned = tmp_path / "turned.mp4"
    turned.write_bytes(content)
    assert apart(read_clip(turned, SHAPE, 3), WAYS[matrix](read_clip(whole, SHAPE, 3))) < 1


@pytest.mark.parametrize("later", [(192, 256), (96, 192), (128, 96)])
def test_frames_that_change_their_size_are_scaled_to_the_clip(tmp_path, later):
    first = write(tmp_path / "a.264", num=15).read_bytes()
    second = write(tmp_path / "b.264", size=later, num=15, first=15).read_bytes()
    both = tmp_path / "both.264"
    both.write_bytes(first + second)
    clip = read_clip(both, (6, *SHAPE[1:]), 3)
    for place, number in enumerate(range(2, 32, 5)):
        wanted = shown(min(number, 29), (96, 128) if number < 15 else later)
        assert apart(clip[place], wanted) < 6


@pytest.mark.parametrize("rate", [6, 10, 12, 24])
def test_a_bare_stream_plays_at_the_rate_that_it_states(tmp_path, rate):
    path = write(tmp_path / "bare.264", rate=rate, num=2 * rate)
    assert np.abs(read_clip(path, (2 * rate, 16, 16), rate).mean((1, 2, 3))).min() > 0
    boxed = write(tmp_path / "boxed.mp4", rate=rate, num=2 * rate)
    assert apart(read_clip(path, (6, 64, 64), 3), read_clip(boxed, (6, 64, 64), 3)) < 2
    with pytest.raises(BadSampleError, match=f"{2 * rate} frames, which are 6 at 3"):
        read_clip(path, (7, 16, 16), 3)


def test_a_trimmed_clip_begins_where_it_is_shown(tmp_path, whole):
    trimmed = tmp_path / "trimmed.mp4"
    with av.open(str(whole)) as source, av.open(str(trimmed), "w") as target:
        given = source.streams.video[0]
        taken = target.add_stream_from_template(given)
        for packet in source.demux(given):
            if packet.dts is not None:
                packet.stream = taken
                packet.pts -= int(1 / given.time_base)
                packet.dts -= int(1 / given.time_base)
                target.mux(packet)
    clip = read_clip(trimmed, (3, *SHAPE[1:]), 3)
    assert apart(clip, read_clip(whole, (6, *SHAPE[1:]), 3)[3:]) < 3


@pytest.mark.parametrize("ending", ["avi", "mkv"])
def test_a_video_without_frames_is_bad_and_named(tmp_path, ending):
    path = tmp_path / f"none.{ending}"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width = stream.height = 16
        stream.pix_fmt = "yuv420p"
        container.start_encoding()
    with pytest.raises(BadSampleError, match=f"none.{ending} (has no frame|cannot be decoded)"):
        read_clip(path, SHAPE, 3)


def test_headers_with_wrong_bytes_make_only_their_own_file_bad(tmp_path):
    whole = write(tmp_path / "whole.264", size=(32, 32), num=15).read_bytes()
    path, rng, num_sound = tmp_path / "broken.264", np.random.default_rng(0), 0
    for _ in range(60):
        content = bytearray(whole)
        at = int(rng.integers(0, 60))
        content[at : at + 4] = rng.bytes(4)
        path.write_bytes(content)
        with suppress(BadSampleError):  # and nothing else
            assert read_clip(path, (2, 32, 32), 3).shape == (2, 32, 32, 3)
            num_sound += 1
    assert num_sound < 55


def test_a_broken_link_is_a_bad_clip(tmp_path, whole):
    (tmp_path / "a.mp4").symlink_to(tmp_path / "none.mp4")
    (tmp_path / "b.mp4").symlink_to(whole)
    source = VideoFiles(str(tmp_path))
    assert len(source) == 2
    assert source.fingerprint()
    with pytest.raises(BadSampleError, match=r"a.mp4 .*No such file"):
        source.clip(0, SHAPE)
    assert source.clip(1, SHAPE).shape == (*SHAPE, 3)


def test_of_several_streams_the_largest_is_shown(tmp_path):
    path, sizes = tmp_path / "two.mkv", [(32, 32), (96, 128)]
    with av.open(str(path), "w") as container:
        streams = [container.add_stream("libx264", rate=15) for _ in sizes]
        for stream, (height, width) in zip(streams, sizes, strict=True):
            stream.height, stream.width, stream.pix_fmt = height, width, "yuv420p"
        for number in range(30):
            for stream, size in zip(streams, sizes, strict=True):
                frame = av.VideoFrame.from_ndarray(image(number, size), format="rgb24")
                container.mux(stream.encode(frame))
        for stream in streams:
            container.mux(stream.encode(None))
    assert apart(read_clip(path, SHAPE, 3)[1], shown(7, sizes[1])) < 8
