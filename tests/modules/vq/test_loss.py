"""What a VQ-VAE minimises."""

import torch

from modules.vq.loss import commitment, reconstruction


def test_the_error_is_the_mean_over_the_pixels_of_each_image():
    a, b = torch.rand(3, 2, 4, 4), torch.rand(3, 2, 4, 4)
    wanted = [sum((x - y) ** 2 for x, y in zip(p.flatten(), q.flatten(), strict=True)) / 32
              for p, q in zip(a, b, strict=True)]  # fmt: skip
    torch.testing.assert_close(reconstruction(a, b), torch.stack(wanted))


def test_commitment_pulls_vectors_to_their_codes_and_never_codes_to_vectors():
    vectors = torch.randn(12, 5, dtype=torch.float64, requires_grad=True)
    codes = torch.randn(12, 5, dtype=torch.float64, requires_grad=True)
    distance = commitment(vectors, codes, 3)
    assert distance.shape == (3,)
    distance.sum().backward()
    torch.testing.assert_close(vectors.grad, 2 * (vectors - codes).detach() / (4 * 5))
    assert codes.grad is None
    first = (vectors[:4] - codes[:4]).square().mean()
    torch.testing.assert_close(distance[0], first)
