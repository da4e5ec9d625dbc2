"""Clips as H.264 streams, and back again."""

import io
import os
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from modules.codec_lm.byte_text import text_to_bytes
from modules.codec_lm.h264 import x264
from modules.codec_lm.h264.bitstream.nal import PPS, SEI, SPS, units
from modules.codec_lm.h264.bitstream.parameter_sets import read_parameters
from modules.codec_lm.h264.codec import AvcCodec

SETTINGS = [
    {"height": 32, "width": 32},
    {"height": 18, "width": 38, "qp": 20},
    {"height": 48, "width": 32, "gop": 4, "frames": 9},
    {"height": 16, "width": 50, "gop": 1, "frames": 3},
    {"height": 34, "width": 34, "slice_max_mbs": None, "qp": 1},
]
CASES = pytest.mark.parametrize("setting", SETTINGS, ids=str)


def moving(codec, rng):
    """A moving image, smooth or rough; from time to time, a cut to another one."""
    frames, height, width, _ = codec.shape
    size = int(rng.choice([1, 2, 5, 40]))
    small = rng.integers(0, 256, (2, size, size, 3), dtype=np.uint8)
    wide = [np.asarray(Image.fromarray(frame).resize((2 * width, 2 * height))) for frame in small]
    step, cut = rng.integers(-4, 5, 2), int(rng.integers(3, 40))
    shown = [np.roll(wide[t // cut % 2], t * step, (0, 1)) for t in range(frames)]
    return np.stack(shown)[:, :height, :width]


def ordinary(codec, clip):
    """The frames of the same clip by way of an ordinary file with all that x264 writes."""
    file = io.BytesIO()
    with av.open(file, "w", format="h264") as container:
        stream = container.add_stream("libx264", rate=codec.fps)
        stream.height, stream.width, stream.pix_fmt = *codec.shape[1:3], "yuv420p"
        stream.codec_context.options = {**x264.OPTIONS, **codec.options}
        stream.codec_context.thread_count = 1
        for frame in clip:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))
    file.seek(0)
    with av.open(file, format="h264") as container:
        return np.stack([f.to_ndarray(format="rgb24") for f in container.decode(video=0)])


@CASES
def test_a_sequence_decodes_as_the_ordinary_file_does(setting):
    codec = AvcCodec(**setting)
    clip = moving(codec, np.random.default_rng(0))
    sequence = codec.encode(clip)
    assert np.array_equal(codec.decode(sequence), ordinary(codec, clip))
    assert codec.decoder_error(sequence) is None
    assert text_to_bytes(codec.text(clip)) == sequence


@CASES
def test_sequences_hold_slices_alone_and_files_the_parameters_too(setting):
    codec = AvcCodec(**setting)
    sequence = codec.encode(moving(codec, np.random.default_rng(1)))
    kinds = [unit.kind for unit in units(sequence)]
    assert not {SEI, SPS, PPS} & set(kinds)
    size = codec.parameters.num_macroblocks if codec.slice_max_mbs else 1
    assert len(kinds) == size * codec.frames
    assert [unit.kind for unit in units(codec.file(sequence))] == [SPS, PPS, *kinds]


def test_the_same_clip_gives_the_same_bytes():
    codec = AvcCodec(32, 32)
    clip = moving(codec, np.random.default_rng(2))
    assert codec.encode(clip) == AvcCodec(32, 32).encode(clip.copy())


def test_the_papers_clip_has_the_units_that_were_measured_for_it():
    codec = AvcCodec(144, 256)
    sequence = codec.encode(moving(codec, np.random.default_rng(3)))
    kinds = [unit.kind for unit in units(sequence)]
    assert kinds == [5] * 144 + [1] * 2016


@CASES
def test_a_beginning_is_as_many_whole_frames_as_are_asked_for(setting):
    codec = AvcCodec(**setting)
    clip = moving(codec, np.random.default_rng(4))
    sequence = codec.encode(clip)
    for share, num in ((0.0, 0), (1 / 3, codec.frames // 3), (2 / 3, codec.frames * 2 // 3)):
        begun = text_to_bytes(codec.prefix(clip, share))
        assert sequence.startswith(begun)
        assert codec.given(share) == num
        if num:
            whole = codec.decode(sequence)
            assert np.array_equal(codec.decode(begun)[:num], whole[:num])


def test_a_stream_that_names_another_size_shows_nothing_and_is_complained_of():
    codec, other = AvcCodec(16, 16, 2), AvcCodec(32, 16, 2)
    stream = other.file(other.encode(moving(other, np.random.default_rng(6))))
    with pytest.raises(OSError, match=r"\(32, 16\) pixels and not \(16, 16\)"):
        codec.decode(stream)
    assert codec.decoder_error(stream) is not None


def test_where_a_stream_breaks_off_the_last_frame_stands_still():
    codec = AvcCodec(32, 48)
    clip = moving(codec, np.random.default_rng(5))
    cut = text_to_bytes(codec.prefix(clip, 0.4))
    shown, whole = codec.decode(cut), codec.decode(codec.encode(clip))
    assert np.array_equal(shown[:6], whole[:6])
    assert all(np.array_equal(frame, whole[5]) for frame in shown[6:])
    assert codec.decoder_error(cut) == "6 frames and not 15"


def test_streams_cut_anywhere_can_be_looked_at_and_are_complained_of():
    codec = AvcCodec(32, 48)
    sequence = codec.encode(moving(codec, np.random.default_rng(6)))
    for at in np.linspace(60, len(sequence) - 1, 25).astype(int):
        assert codec.decode(sequence[:at]).shape == codec.shape
        assert codec.decoder_error(sequence[:at]) is not None


@pytest.mark.parametrize("sequence", [b"", b"no stream", b"\x00\x00\x01", bytes(100)])
def test_what_holds_no_frame_is_refused(sequence):
    codec = AvcCodec(32, 32)
    with pytest.raises(OSError, match="no frame can be decoded"):
        codec.decode(sequence)
    assert codec.decoder_error(sequence) is not None


def test_the_judge_sees_a_missing_slice_and_most_flipped_bits():
    codec, rng = AvcCodec(32, 48), np.random.default_rng(7)
    sequence = codec.encode(moving(codec, rng))
    third = [at for at in range(len(sequence)) if sequence.startswith(b"\x00\x00\x01", at)][2:4]
    assert "concealing" in codec.decoder_error(sequence[: third[0]] + sequence[third[1] :])
    num_detected = 0
    for at in rng.integers(0, len(sequence), 60):
        broken = bytearray(sequence)
        broken[at] ^= 1 << int(rng.integers(8))
        num_detected += codec.decoder_error(bytes(broken)) is not None
    assert num_detected > 30  # a bit of a coefficient makes another good stream


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"height": 33, "width": 32}, "must be even, got 33x32"),
        ({"height": 32, "width": 5000}, r"width must be within \[2, 4096\], got 5000"),
        ({"height": 32, "width": 32, "qp": 0}, r"qp must be within \[1, 51\], got 0"),
        ({"height": 32, "width": 32, "gop": 0}, "gop must be at least 1, got 0"),
    ],
)
def test_settings_out_of_bounds_are_named(setting, message):
    with pytest.raises(ValueError, match=message):
        AvcCodec(**setting)


def test_a_clip_of_another_shape_is_refused_with_both():
    with pytest.raises(ValueError, match=r"\(15, 32, 32, 3\), got uint8 \(14, 32, 32, 3\)"):
        AvcCodec(32, 32).encode(np.zeros((14, 32, 32, 3), np.uint8))


def test_an_x264_with_other_headers_is_refused(monkeypatch):
    encode = x264.encode

    def with_another_number(*arguments):
        stream = encode(*arguments)
        first = stream.frames[0].replace(b"\x00\x00\x01\x65\x88", b"\x00\x00\x01\x65\x44")
        return x264.Stream(stream.parameters, [first, *stream.frames[1:]])

    monkeypatch.setattr(x264, "encode", with_another_number)
    with pytest.raises(RuntimeError, match=r"core \d+.* unknown headers|is not known"):
        AvcCodec(32, 32)


def test_a_pyav_without_x264_is_named(monkeypatch):
    monkeypatch.setattr(x264, "ENCODER", "libnone")
    with pytest.raises(RuntimeError, match="has no libnone"):
        AvcCodec(32, 32)


def test_fingerprints_tell_settings_and_builds_apart(monkeypatch):
    fingerprints = {AvcCodec(**setting).fingerprint() for setting in SETTINGS}
    assert len(fingerprints) == len(SETTINGS)
    assert all("x264 - core" in fingerprint for fingerprint in fingerprints)


def test_parameters_say_how_large_images_are_and_how_many_they_hang_on():
    parameters = AvcCodec(18, 38, qp=30).parameters
    assert (parameters.rows, parameters.columns, parameters.num_macroblocks) == (2, 3, 6)
    assert (parameters.max_references, parameters.quantiser) == (3, 30)


def test_streams_without_parameters_are_refused():
    with pytest.raises(ValueError, match="7 and 8 are needed"):
        read_parameters(b"\x00\x00\x01\x65\x88")


@pytest.mark.parametrize(
    ("name", "num"), [("SVA_BA2_D.264", 17), ("BASQP1_Sony_C.jsv", 4), ("SVA_CL1_E.264", 50)]
)
def test_conformance_streams_decode_without_complaint(name, num):
    path = Path(os.environ.get("TRAINER_DATA", "data")) / "video" / name
    if not path.is_file():
        pytest.skip(f"no {path}")
    frames, trouble = x264.decode(path.read_bytes())
    assert trouble is None
    assert len(frames) == num
    assert frames[0].shape == (144, 176, 3)
