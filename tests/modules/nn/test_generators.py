import subprocess
import sys

import pytest
import torch

from modules.nn.generators import draw, generator_of, seed_of

P_V = torch.tensor([0.1, 0.0, 0.4, 0.2, 0.3])


def test_a_name_has_the_same_seed_in_every_process_and_unlike_names_have_unlike_ones():
    program = "from modules.nn.generators import seed_of; print(seed_of(3, 'a question', 1))"
    process = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, check=True, text=True
    )
    assert int(process.stdout) == seed_of(3, "a question", 1)
    names = [(0, "1", "2"), (0, "12"), (0, 12), (0, 1, 2), (0, "1/str:1:2"), (1, "12"), (0,)]
    assert len({seed_of(*name) for name in names}) == len(names)
    assert all(0 <= seed_of(*name) < 2**63 for name in names)


def test_a_name_may_be_any_text():
    assert seed_of(0, "\ud800 ü 中") != seed_of(0, "")


def test_draws_follow_the_probabilities_and_never_take_what_has_none():
    generators = [generator_of(0, "draw", n) for n in range(20_000)]
    token_S = draw((7 * P_V).expand(20_000, 5), generators)
    share_V = torch.bincount(token_S, minlength=5) / 20_000
    torch.testing.assert_close(share_V, P_V, rtol=0, atol=0.012)
    assert share_V[1] == 0


def test_a_row_draws_the_same_alone_and_beside_others():
    rows = torch.rand(6, 50, generator=torch.Generator().manual_seed(0)) ** 4
    together = draw(rows, [generator_of(1, "q", n) for n in range(6)])
    for order in ([3, 1], [5, 4, 0]):
        assert (
            draw(rows[order], [generator_of(1, "q", n) for n in order]).tolist()
            == together[order].tolist()
        )


def test_noise_of_rounding_moves_almost_no_draw():
    logits = torch.randn(5000, 300, generator=torch.Generator().manual_seed(0)) * 3
    noisy = logits + 1e-6 * torch.randn(5000, 300, generator=torch.Generator().manual_seed(1))
    first, second = (
        draw(x.softmax(-1), [generator_of(0, n) for n in range(5000)]) for x in (logits, noisy)
    )
    assert (first != second).sum() <= 1


def test_what_cannot_be_drawn_is_refused_with_the_row():
    own = [generator_of(0), generator_of(1)]
    with pytest.raises(ValueError, match="1 generators for 2 sequences"):
        draw(P_V.expand(2, 5), own[:1])
    for wrong in (0.0, float("nan"), float("inf")):
        rows = torch.stack([P_V, P_V * wrong])
        with pytest.raises(ValueError, match="nothing can be drawn for sequence 1"):
            draw(rows, own)
