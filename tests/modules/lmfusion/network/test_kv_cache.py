import pytest
import torch

from modules.lmfusion.network.fusion import BOI, EOI
from tests.fixtures.lmfusion_parts import arrange, fusion, linear, unet


@pytest.mark.parametrize("patchifier", [linear, unet])
def test_cached_is_uncached(patchifier):
    network = fusion(patchifier())
    document = [1, 2, BOI, (0,), EOI, 3, 4, BOI, (1,), EOI, 5]
    torch.manual_seed(0)
    latent = torch.randn(2, 3, 8, 8, dtype=torch.float64)
    step = torch.tensor([0, 500])
    token, position, runs = arrange([document], network.patchifier.num_patches)
    whole = network(token, position, latent, step, runs, read_prefix=True)

    cache = network.empty_cache(1, 80)
    hidden = [network.extend_text(torch.tensor([[1, 2, BOI]]), cache)]
    network.extend_image(latent[1:], step[1:], cache, keep=False)  # to be overwritten
    network.extend_image(latent[:1], step[:1], cache, keep=True)
    hidden.append(network.extend_text(torch.tensor([[EOI, 3]]), cache))
    hidden.append(network.extend_text(torch.tensor([[4, BOI]]), cache))
    noise = network.extend_image(latent[1:], step[1:], cache, keep=True)
    hidden.append(network.extend_text(torch.tensor([[EOI, 5]]), cache))
    text = torch.cat([whole.prefix_WD, whole.later_LD])
    torch.testing.assert_close(torch.cat(hidden, 1)[0], text, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(noise, whole.noise_ICHW[1:], rtol=1e-9, atol=1e-9)


def test_sequences_of_different_lengths_are_those_run_alone():
    network = fusion()
    torch.manual_seed(0)
    latent = torch.randn(2, 3, 8, 8, dtype=torch.float64)
    step = torch.tensor([100, 900])
    rows = torch.tensor([[1, 2, 3, 4], [5, 0, 0, 0]])
    together = network.empty_cache(2, 40)
    network.extend_text(rows, together, torch.tensor([4, 1]))
    network.extend_text(torch.tensor([[BOI], [BOI]]), together)
    noise = network.extend_image(latent, step, together, keep=True)
    after = network.extend_text(torch.tensor([[EOI], [EOI]]), together)
    for b, length in enumerate((4, 1)):
        alone = network.empty_cache(1, 40)
        network.extend_text(rows[b : b + 1, :length], alone)
        network.extend_text(torch.tensor([[BOI]]), alone)
        noise_alone = network.extend_image(latent[b : b + 1], step[b : b + 1], alone, keep=True)
        torch.testing.assert_close(noise[b], noise_alone[0], rtol=1e-9, atol=1e-9)
        last = network.extend_text(torch.tensor([[EOI]]), alone)
        torch.testing.assert_close(after[b], last[0], rtol=1e-9, atol=1e-9)


def test_a_full_cache_says_so():
    network = fusion()
    cache = network.empty_cache(1, 4)
    with pytest.raises(ValueError, match="5 does not fit 4 slots"):
        network.extend_text(torch.tensor([[1, 2, 3, 4, 5]]), cache)
