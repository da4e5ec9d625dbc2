import pytest
import torch

from modules.diffusion.guidance import Guidance, guide, rescaled
from modules.diffusion.process import read


def two() -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    return torch.randn(3, 2, 4), torch.randn(3, 2, 4)


def test_guidance_of_one_is_conditional_and_of_zero_is_free():
    conditional, free = two()
    torch.testing.assert_close(guide(conditional, free, 1.0), conditional)
    torch.testing.assert_close(guide(conditional, free, 0.0), free)


def test_guidance_is_the_papers_with_a_weight_one_smaller():
    conditional, free = two()
    w = 0.55
    torch.testing.assert_close(guide(conditional, free, 1 + w), (1 + w) * conditional - w * free)


@pytest.mark.parametrize("kind", ["eps", "v"])
def test_guiding_predictions_is_guiding_clean_samples(kind):
    conditional, free = two()
    x_t, abar = torch.randn(3, 2, 4), torch.tensor([0.9, 0.5, 0.1])
    guided = read(kind, guide(conditional, free, 2.5), x_t, abar)[0]
    clean = (read(kind, output, x_t, abar)[0] for output in (conditional, free))
    torch.testing.assert_close(guided, guide(*clean, 2.5), rtol=1e-4, atol=1e-5)


def test_rescaling_mixes_each_samples_spreads():
    conditional, free = two()
    guided = guide(conditional, free, 3.0)
    result = rescaled(guided, conditional, 0.7)
    for b in range(3):
        ratio = conditional[b].std() / guided[b].std()
        torch.testing.assert_close(result[b], 0.7 * guided[b] * ratio + 0.3 * guided[b])
    whole = rescaled(guided, conditional, 1.0)
    torch.testing.assert_close(whole.flatten(1).std(1), conditional.flatten(1).std(1))


def test_the_doubled_batch_holds_conditions_first():
    seen = []

    def predict(x, t):
        seen.append((x, t))
        is_free = torch.arange(len(x)) >= len(x) // 2
        return torch.where(is_free[:, None], 1.0, 5.0).expand_as(x)

    x, t = torch.randn(2, 3), torch.tensor([7, 7])
    guided = Guidance(1.5).wrap(predict)(x, t)
    assert torch.equal(seen[0][0], torch.cat([x, x]))
    assert seen[0][1].tolist() == [7] * 4
    assert torch.equal(guided, torch.full((2, 3), 1 + 1.5 * 4))


def test_without_guidance_the_network_is_called_as_it_is():
    def predict(x, t):
        return x

    assert Guidance().wrap(predict) is predict
    assert not Guidance().is_on
    assert Guidance(1.55).is_on


def test_a_share_is_a_share():
    with pytest.raises(ValueError, match="rescale"):
        Guidance(2.0, 1.5)
