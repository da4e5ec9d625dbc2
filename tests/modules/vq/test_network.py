"""An autoencoder with a codebook, and its files."""

import pytest
import torch

from modules.vq.network import VQNetwork, digest, read_network, write_network

OPTIONS = {"size": 8, "channels": 1, "num_codes": 6, "code_size": 4, "width": 8, "num_blocks": 1}


def network(seed=0, **more):
    torch.manual_seed(seed)
    return VQNetwork(**{**OPTIONS, **more}).eval()


@pytest.mark.parametrize(("size", "channels", "downsampling"), [(8, 1, 4), (28, 1, 4), (16, 3, 8)])
def test_an_image_has_a_code_for_each_square(size, channels, downsampling):
    net = network(size=size, channels=channels, downsampling=downsampling)
    pixels = torch.randn(3, channels, size, size)
    coded = net(pixels)
    side = size // downsampling
    assert net.side == side
    assert coded.pixel_BCHW.shape == pixels.shape
    assert coded.z_ND.shape == coded.quantised_ND.shape == (3 * side**2, 4)
    assert torch.equal(coded.quantised_ND, net.quantiser.code_KD[coded.index_N])


def test_the_decoder_sees_codes_or_if_wished_vectors():
    net, pixels = network(), torch.randn(2, 1, 8, 8)
    coded, free = net(pixels), net(pixels, quantise=False)
    torch.testing.assert_close(coded.pixel_BCHW, net.decode(coded.quantised_ND))
    torch.testing.assert_close(free.pixel_BCHW, net.decode(free.z_ND))
    assert torch.equal(coded.index_N, free.index_N)


def test_codes_stand_in_raster_order():
    net = network(size=16, downsampling=4, num_blocks=0)
    pixels = torch.zeros(2, 1, 16, 16)
    plain = net.encode(pixels)
    pixels[1, 0, 6, 15] = 1.0
    changed = (net.encode(pixels) - plain).abs().sum(1).view(2, 4, 4)
    assert changed[0].sum() == 0
    assert changed[1].argmax() == 1 * 4 + 3


def test_images_do_not_depend_on_their_neighbours():
    net, pixels = network(), torch.randn(5, 1, 8, 8)
    alone = torch.cat([net.encode(image[None]) for image in pixels])
    torch.testing.assert_close(net.encode(pixels), alone)


def test_the_encoder_hears_of_the_error_through_the_codes():
    net = network()
    net(torch.randn(2, 1, 8, 8)).pixel_BCHW.square().mean().backward()
    assert all(p.grad is not None for p in net.parameters())
    assert net.encoder[0].weight.grad.abs().sum() > 0


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_an_exported_network_comes_back(dtype, tmp_path):
    net, pixels = network().to(dtype), torch.randn(3, 1, 8, 8)
    write_network(net, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"config.json", "model.safetensors"}
    again = read_network(tmp_path)
    assert torch.equal(again(pixels).pixel_BCHW, net.float()(pixels).pixel_BCHW)
    assert digest(again) == digest(net)
    assert digest(again) != digest(network(seed=1))
    assert not any(p.requires_grad for p in again.parameters())


def test_what_is_no_exported_network_is_told(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"python cli\.py export --config"):
        read_network(tmp_path / "none")
    with pytest.raises(ValueError, match="holds no exported VQ-VAE"):
        read_network(tmp_path)
    (tmp_path / "bad.ckpt").write_bytes(b"nothing")
    with pytest.raises(ValueError, match="no checkpoint of a VQ-VAE"):
        read_network(tmp_path / "bad.ckpt")
    torch.save({"state_dict": {}, "hyper_parameters": {}}, tmp_path / "other.ckpt")
    with pytest.raises(ValueError, match="no checkpoint of a VQ-VAE"):
        read_network(tmp_path / "other.ckpt")
    write_network(network(), tmp_path)
    config = tmp_path / "config.json"
    config.write_text(config.read_text().replace('"width": 8', '"width": 9'))
    with pytest.raises(ValueError, match="holds no VQ-VAE"):
        read_network(tmp_path)
    config.write_text(config.read_text().replace('"format": 1', '"format": 2'))
    with pytest.raises(ValueError, match="another version than 1"):
        read_network(tmp_path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"downsampling": 3}, "power of two that divides size=8, got 3"),
        ({"downsampling": 16}, "power of two that divides size=8, got 16"),
        ({"width": 0}, "width is too small: 0"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        network(**options)
