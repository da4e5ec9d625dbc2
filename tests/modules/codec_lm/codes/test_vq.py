"""Images as the codes of a trained network."""

import io
import pickle

import numpy as np
import pytest
import torch
from PIL import Image

from modules.codec_lm.codes.rules import pack
from modules.codec_lm.codes.vq import VqCodec
from modules.vq.network import write_network
from tests.modules.vq.test_network import network


@pytest.fixture(params=[1, 3], ids=["grey", "colours"])
def codec(request, tmp_path):
    write_network(network(size=16, channels=request.param, num_codes=300), tmp_path)
    return VqCodec(str(tmp_path))


def images(codec, num=6):
    return np.random.default_rng(0).integers(0, 256, (num, *codec.shape), dtype=np.uint8)


def test_codes_and_images_are_those_of_the_network(codec):
    net, shown = codec.autoencoder, images(codec)
    pixels = torch.tensor(shown).view(6, 16, 16, -1).permute(0, 3, 1, 2) / 127.5 - 1
    coded = net(pixels)
    encoded = [codec.encode(image) for image in shown]
    assert np.array_equal(np.stack(encoded), coded.index_N.view(6, 16))
    wanted = ((coded.pixel_BCHW.clamp(-1, 1) + 1) * 127.5).permute(0, 2, 3, 1)
    for image, codes in zip(wanted.numpy().reshape(shown.shape), encoded, strict=True):
        assert np.abs(codec.show(codes) - image).max() <= 0.51


def test_an_image_has_the_same_codes_alone_and_after_others(codec):
    first, *others = images(codec)
    before = codec.encode(first)
    for other in others:
        codec.encode(other)
    assert np.array_equal(codec.encode(first), before)
    assert np.array_equal(VqCodec(codec.network).encode(first), before)


def test_sequences_take_two_bytes_a_code_and_show_its_image(codec):
    codes = codec.encode(images(codec)[0])
    sequence = pack(codes, 300)
    assert codec.decoder_error(sequence) is None
    assert len(sequence) == 2 * codec.length == 32
    assert codec.decode(sequence).shape == codec.shape
    assert np.array_equal(codec.decode(sequence), codec.show(codes))
    with Image.open(io.BytesIO(codec.file(sequence))) as file:
        assert np.array_equal(np.asarray(file), codec.show(codes))


def test_a_codec_travels_without_its_weights_and_keeps_its_fingerprint(codec, tmp_path_factory):
    fingerprint = codec.fingerprint()
    sent = pickle.dumps(codec)
    assert len(sent) < 500
    assert pickle.loads(sent).fingerprint() == fingerprint
    folder = tmp_path_factory.mktemp("other")
    write_network(network(1, size=16, channels=3, num_codes=300), folder)
    assert VqCodec(str(folder)).fingerprint() != fingerprint


def test_a_network_that_is_not_there_is_told_with_the_command_that_makes_it(tmp_path):
    with pytest.raises(FileNotFoundError, match=rf"python cli\.py export .* --folder {tmp_path}"):
        VqCodec(str(tmp_path / "none")).fingerprint()


def test_an_image_of_another_shape_is_refused(codec):
    with pytest.raises(ValueError, match="images are uint8"):
        codec.encode(np.zeros((4, 4), np.uint8))
