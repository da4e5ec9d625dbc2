"""Clips of video files, and of moving images."""

import os
from itertools import pairwise
from pathlib import Path
from random import Random

import av
import numpy as np
import pytest

from datamodules.clips.files import VideoFiles, read_clip
from datamodules.clips.moving_images import MovingImages, bounce
from datamodules.codec.datamodule import CodecText
from datamodules.images.digits import Digits
from datamodules.images.source import Pair
from datamodules.records.document import BadSample, Document
from datamodules.records.errors import BadSampleError
from modules.codec_lm.byte_text import text_to_bytes
from modules.codec_lm.h264.codec import AvcCodec

STREAMS = Path(os.environ.get("TRAINER_DATA", "data")) / "video"


def write_video(path, frames=20, height=24, width=40, fps=6, codec="libx264", **options):
    """A video whose frames become lighter: frame n has the grey value 10 n."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=fps)
        stream.height, stream.width, stream.pix_fmt = height, width, "yuv420p"
        stream.codec_context.options = {"crf": "5", **options}
        for number in range(frames):
            grey = np.full((height, width, 3), 10 * number, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(grey, format="rgb24")))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("ending", ["mp4", "mkv", "avi", "h264"])
def test_frames_have_the_given_rate(tmp_path, ending):
    path = write_video(tmp_path / f"clip.{ending}", frames=24, fps=12)
    clip = read_clip(path, (6, 24, 40), 3)
    brightness = clip.reshape(6, -1).mean(1)
    wanted = brightness[0] + 40 * np.arange(6)
    assert np.abs(brightness - wanted).max() <= 11  # FFmpeg takes the last frame nearest to a time
    assert brightness[0] <= 21


def test_videos_are_scaled_to_fit_and_padded_to_the_centre(tmp_path):
    path = write_video(tmp_path / "wide.mp4", frames=4, height=16, width=64)
    clip = read_clip(path, (2, 32, 32), 6)
    assert clip.shape == (2, 32, 32, 3)
    is_dark = clip[1].max(axis=(1, 2)) < 5
    assert is_dark[:12].all()
    assert not is_dark[12:20].any()
    assert is_dark[20:].all()


def test_a_folder_gives_every_video_and_nothing_else(tmp_path):
    (tmp_path / "more").mkdir()
    write_video(tmp_path / "b.mp4")
    write_video(tmp_path / "more" / "a.mkv")
    (tmp_path / "README.md").write_text("no video")
    source = VideoFiles(str(tmp_path))
    assert [Path(source.location(n)).name for n in range(len(source))] == ["b.mp4", "a.mkv"]
    before = source.fingerprint()
    write_video(tmp_path / "c.mp4")
    assert VideoFiles(str(tmp_path)).fingerprint() != before
    assert VideoFiles(str(tmp_path), fps=4).fingerprint() != VideoFiles(str(tmp_path)).fingerprint()


def test_a_folder_without_videos_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=str(tmp_path)):
        len(VideoFiles(str(tmp_path)))


def bad_file(folder, kind):
    """A video that cannot be used."""
    path = folder / f"{kind}.mp4"
    if kind == "empty":
        path.write_bytes(b"")
    elif kind == "noise":
        path.write_bytes(bytes(Random(0).randbytes(5000)))
    elif kind == "short":
        write_video(path, frames=5)
    elif kind == "truncated":
        whole = write_video(path).read_bytes()
        path.write_bytes(whole[: len(whole) // 2])
    elif kind == "sound":
        with av.open(str(path), "w") as container:
            stream = container.add_stream("aac", rate=8000)
            sound = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
            sound.rate = 8000
            container.mux(stream.encode(sound))
            container.mux(stream.encode(None))
    elif kind == "keyless":
        stream = write_video(folder / "whole.h264", bf="0").read_bytes()
        at = stream.index(b"\x00\x00\x01\x65")
        path = folder / "keyless.h264"
        path.write_bytes(stream[:at] + stream[stream.index(b"\x00\x00\x01\x41", at) :])
    return path


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("empty", "empty.mp4 is empty"),
        ("noise", "noise.mp4 cannot be decoded: .*Invalid data"),
        ("truncated", "truncated.mp4 cannot be decoded: .*Invalid data"),
        ("short", "short.mp4 has 5 frames, which are [23] at 3 a second; 15 are needed"),
        ("sound", "sound.mp4 has no video stream"),
        ("keyless", "keyless.h264 (does not begin with a key frame|is broken at frame 1)"),
    ],
)
def test_an_unusable_video_is_named_with_its_error(tmp_path, kind, message):
    with pytest.raises(BadSampleError, match=message):
        read_clip(bad_file(tmp_path, kind), (15, 32, 32), 3)


def test_bad_videos_are_reported_and_the_others_become_streams(tmp_path):
    bad_file(tmp_path, "empty")
    write_video(tmp_path / "good.mp4", frames=12)
    codec = AvcCodec(16, 32, 5)
    empty, good = CodecText(VideoFiles(str(tmp_path)), codec).documents()
    assert empty == BadSample(str(tmp_path / "empty.mp4"), "empty.mp4 is empty")
    assert isinstance(good, Document)
    assert codec.decoder_error(text_to_bytes(good.text)) is None


@pytest.mark.skipif(not STREAMS.is_dir(), reason=f"no {STREAMS}")
def test_conformance_streams_are_clips():
    source = VideoFiles(str(STREAMS), fps=25)
    lengths = {"BASQP1_Sony_C.jsv": 4, "SVA_CL1_E.264": 50}
    for index in range(len(source)):
        num = min(15, lengths.get(Path(source.location(index)).name, 17))
        assert source.clip(index, (num, 144, 176)).std() > 10


def moving(**changes):
    return MovingImages(Digits(), **{"num": 30, "size": 16, **changes})


def test_moving_images_are_deterministic_and_differ_by_index_and_seed():
    first = moving().clip(3, (15, 48, 48))
    assert first.shape == (15, 48, 48, 3)
    assert first.dtype == np.uint8
    assert np.array_equal(first, moving().clip(3, (15, 48, 48)))
    assert not np.array_equal(first, moving().clip(4, (15, 48, 48)))
    assert not np.array_equal(first, moving(seed=1).clip(3, (15, 48, 48)))


def test_one_image_moves_without_a_change():
    clip = moving(objects=(1, 1), speed=(2.0, 2.0)).clip(0, (15, 48, 48))
    places = []
    for frame in clip[..., 0]:
        rows, columns = np.flatnonzero(frame.any(1)), np.flatnonzero(frame.any(0))
        places.append((rows[0], columns[0]))
        shown = frame[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        assert shown.sum() == clip[0, ..., 0].sum()  # nothing is cut off at an edge
    steps = np.abs(np.diff(places, axis=0))
    assert steps.max() <= 3
    assert steps.sum() > 0


def test_on_white_the_darker_pixel_covers_the_brighter_one():
    clip = moving(background="white").clip(0, (2, 48, 48))
    assert clip[0, 0, 0].tolist() in ([255] * 3, [0] * 3)
    assert clip.max() == 255


def test_a_bouncing_position_stays_between_its_walls():
    ways = [bounce(0.7 * n - 30, 11) for n in range(200)]
    assert min(ways) == 0
    assert max(ways) == 11
    assert max(abs(a - b) for a, b in pairwise(ways)) <= 1
    assert bounce(5.0, 0) == 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num": 0}, "num must be at least 1, got 0"),
        ({"objects": (3, 2)}, "objects must be two rising numbers, got 3 and 2"),
        ({"speed": (2.0, 1.0)}, "speed must be two rising numbers"),
        ({"background": "grey"}, "background must be one of black, white, got 'grey'"),
    ],
)
def test_numbers_out_of_bounds_are_named(changes, message):
    with pytest.raises(ValueError, match=message):
        moving(**changes)


def test_a_canvas_smaller_than_what_moves_is_refused_with_both():
    with pytest.raises(ValueError, match="8x48 pixels, too small for images of 16"):
        moving().clip(0, (2, 8, 48))
    with pytest.raises(ValueError, match="8x48 pixels, too small for images of 16"):
        CodecText(moving(), AvcCodec(8, 48, 2))  # before any clip is made


def test_clips_for_a_codec_of_images_and_images_for_one_of_clips_are_refused():
    from modules.codec_lm.jpeg.codec import JpegCodec

    with pytest.raises(ValueError, match="takes images, but moving digits:train:30:0 has clips"):
        CodecText(moving(), JpegCodec(16, 16))
    with pytest.raises(ValueError, match="takes clips, but digits:train has images"):
        CodecText(Digits(), AvcCodec(16, 16))


def test_a_broken_image_makes_only_its_own_clips_bad():
    class Broken(Digits):
        def sample(self, index, rng):
            return Pair(b"none" if index % 2 else np.full((8, 8, 3), 200, np.uint8), [""])

    source = MovingImages(Broken(), 20, size=16, objects=(1, 1))
    documents = list(CodecText(source, AvcCodec(16, 16, 2)).documents())
    kinds = {type(document) for document in documents}
    assert kinds == {Document, BadSample}
    assert len(documents) == 20


def test_a_codec_of_images_that_are_not_square_is_refused_before_any_is_read():
    from modules.codec_lm.jpeg.codec import JpegCodec

    with pytest.raises(ValueError, match="cut to squares, but the codec's are 32x64"):
        CodecText(Digits(), JpegCodec(32, 64, sampling="grey"))
