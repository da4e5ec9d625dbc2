import pytest
import torch

from modules.lmfusion.network.patchify import LinearPatchifier, TimeEmbedding
from modules.lmfusion.network.unet import UNetPatchifier


def test_patches_stand_in_raster_order():
    patchifier = LinearPatchifier(12, size=4, channels=3, patch=2)
    torch.nn.init.eye_(patchifier.encode.weight)
    torch.nn.init.zeros_(patchifier.encode.bias)
    for layer in (patchifier.time.outer,):
        torch.nn.init.zeros_(layer.weight)
        torch.nn.init.zeros_(layer.bias)
    latent = torch.randn(2, 3, 4, 4)
    patch, _ = patchifier.down(latent, torch.tensor([1, 2]))
    for i in range(2):
        for row in range(2):
            for column in range(2):
                box = latent[i, :, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2]
                torch.testing.assert_close(patch[4 * i + 2 * row + column], box.flatten())


@pytest.mark.parametrize(
    "patchifier",
    [LinearPatchifier(16, 8, 4, 2), UNetPatchifier(16, 8, 4, (8, 16), 2, 8, 1, 8)],
    ids=["linear", "U-Net"],
)
def test_images_do_not_see_each_other_and_the_step_matters(patchifier):
    torch.manual_seed(0)
    for parameter in patchifier.parameters():
        parameter.data = torch.randn_like(parameter) * 0.2
    latent, step = torch.randn(3, 4, 8, 8), torch.tensor([1, 400, 1000])

    def there_and_back(latent, step):
        patch, skips = patchifier.down(latent, step)
        return patchifier.up(patch, step, skips)

    together = there_and_back(latent, step)
    assert together.shape == latent.shape
    alone = torch.cat([there_and_back(latent[i : i + 1], step[i : i + 1]) for i in range(3)])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)
    other = there_and_back(latent, step + 50)
    assert (other - together).abs().max() > 1e-3


def test_the_u_net_has_the_published_size_at_the_width_of_llama():
    with torch.device("meta"):
        patchifier = UNetPatchifier(4096)
    assert round(sum(p.numel() for p in patchifier.parameters()) / 1e9, 2) == 0.27
    assert patchifier.num_patches == 256


def test_latents_of_another_shape_are_refused_with_both():
    with pytest.raises(ValueError, match=r"\(4, 8, 8\), the network's \(3, 8, 8\)"):
        LinearPatchifier(16, 8, 3, 2).down(torch.zeros(1, 4, 8, 8), torch.ones(1))
    with pytest.raises(ValueError, match="3 x 3 do not fill latents of side 8"):
        LinearPatchifier(16, 8, 3, 3)


def test_steps_have_different_embeddings():
    embedding = TimeEmbedding(8)
    embeddings = embedding(torch.tensor([0, 1, 500, 1000]))
    assert torch.cdist(embeddings, embeddings)[~torch.eye(4, dtype=torch.bool)].min() > 1e-4


def test_every_place_has_a_vector_of_its_own_that_is_trained():
    patchifier = LinearPatchifier(16, size=8, channels=3, patch=2, position_embedding=True)
    place_nD = patchifier.place_nD
    assert place_nD is not None
    assert place_nD.shape == (16, 16)
    apart = torch.cdist(place_nD.detach(), place_nD.detach()) + torch.eye(16) * 9
    assert apart.min() > 0.1
    latent, step = torch.randn(2, 3, 8, 8), torch.tensor([3, 4])
    with_positions, _ = patchifier.down(latent, step)
    patchifier.place_nD = None
    without, _ = patchifier.down(latent, step)
    torch.testing.assert_close(with_positions - without, place_nD.repeat(2, 1))
    with_positions.sum().backward()
    torch.testing.assert_close(place_nD.grad, torch.full_like(place_nD, 2.0))


def test_a_small_gain_lets_less_of_the_noise_in():
    torch.manual_seed(0)
    full = LinearPatchifier(16, size=8, channels=3)
    torch.manual_seed(0)
    quiet = LinearPatchifier(16, size=8, channels=3, gain=0.1)
    torch.testing.assert_close(quiet.encode.weight, full.encode.weight * 0.1)
    assert torch.equal(quiet.encode.bias, full.encode.bias)


def test_position_embeddings_need_a_width_that_sines_and_cosines_fill():
    with pytest.raises(ValueError, match="multiple of 4, got 18"):
        LinearPatchifier(18, size=8, channels=3, position_embedding=True)
