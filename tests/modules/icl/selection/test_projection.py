"""Selection by gradients on random directions, beside the exact one."""

import threading
from dataclasses import replace

import pytest
import torch
from scipy.stats import spearmanr

from modules.base.rank_share import RankShare
from modules.icl.selection import orca as orca_module
from modules.icl.selection.options import GradientProjection
from modules.icl.selection.orca import write_results
from modules.icl.selection.projection import Signs
from tests.modules.icl.selection.test_orca import (  # noqa: F401 - a fixture among them
    NUM,
    OPTIONS,
    K,
    data,
    selected,
    selector,
)

PROJECTED = replace(OPTIONS, projection=GradientProjection(256, seed=1))


def test_products_of_projected_vectors_are_right_on_average_and_nearer_with_more_directions():
    torch.manual_seed(0)
    g, h = torch.randn(2, 50, dtype=torch.float64)
    spread = []
    for num in (4, 64):
        pairs = [Signs.of(GradientProjection(num, seed), 50).project([g, h]) for seed in range(400)]
        product = torch.stack([one @ other for one, other in pairs])
        spread.append(float(product.std()))
        assert abs(float(product.mean() - g @ h)) < 4 * spread[-1] / 400**0.5
    variance = float(g @ g * (h @ h) + (g @ h) ** 2 - 2 * (g * h).square().sum()) / 4
    assert spread[0] == pytest.approx(variance**0.5, rel=0.15)
    assert spread[0] / spread[1] == pytest.approx(4.0, rel=0.2)


def test_projections_are_products_with_signs():
    torch.manual_seed(0)
    sign_QP, own_NP = torch.randint(2, (70, 9), dtype=torch.int8), torch.randn(3, 9)
    want = torch.stack([own_NP @ (2.0 * row - 1) for row in sign_QP], dim=1)
    torch.testing.assert_close(Signs(sign_QP).project(own_NP), want / 70**0.5)


def test_more_directions_begin_with_those_of_fewer():
    few, many = (Signs.of(GradientProjection(num, 3), 7).is_plus_QP for num in (5, 9))
    assert torch.equal(many[:5], few)


def test_cosines_come_nearer_to_the_exact_ones_with_more_directions(data, tmp_path):  # noqa: F811
    exact = selected(data, tmp_path / "exact")
    related, off = [], []
    for num in (16, 1024):
        found = selected(
            data, tmp_path / str(num), replace(OPTIONS, projection=GradientProjection(num))
        )
        pair = found.columns["cosine_1"], exact.columns["cosine_1"]
        related.append(spearmanr(*pair)[0])
        off.append(max(abs(a - b) for a, b in zip(*pair, strict=True)))
        for name in ("loss", "targets"):
            assert found.columns[name] == pytest.approx(exact.columns[name], rel=1e-6)
    assert related[1] > max(0.8, related[0])
    assert off[1] < 4 / 1024**0.5 < off[0]


def test_what_is_in_a_row_or_a_batch_does_not_matter(data, tmp_path):  # noqa: F811
    found = selected(data, tmp_path / "a", PROJECTED)
    others = {"rows_per_batch": 5, "save_every": 1, "are_packed": False}
    other = selected(data, tmp_path / "b", replace(PROJECTED, **others))
    assert other.picked == found.picked
    for name in ("cosine_1", "cosine_2", "norm"):
        assert other.columns[name] == pytest.approx(found.columns[name], rel=1e-6)


def test_projected_gradients_are_kept_for_the_next_iteration_and_after_a_stop(
    data,  # noqa: F811
    tmp_path,
    monkeypatch,
):
    whole = selected(data, tmp_path / "whole", PROJECTED)
    calls, score = [], orca_module.ProjectedGradients.__call__

    def stopping(self, batch):
        calls.append(batch)
        if len(calls) == 3:  # after the first file of two batches
            raise KeyboardInterrupt
        return score(self, batch)

    monkeypatch.setattr(orca_module.ProjectedGradients, "__call__", stopping)
    with pytest.raises(KeyboardInterrupt):
        selected(data, tmp_path / "stopped", PROJECTED)
    assert selected(data, tmp_path / "stopped", PROJECTED) == whole
    assert len(calls) == 3 + 2  # of four batches in all, and none in the second iteration
    with pytest.raises(ValueError, match="other values of: projection"):
        selected(
            data,
            tmp_path / "stopped",
            replace(PROJECTED, projection=GradientProjection(256, seed=2)),
        )


def test_two_ranks_share_the_pass_and_select_as_one(data, tmp_path):  # noqa: F811
    alone = selected(data, tmp_path / "alone", PROJECTED)
    barrier, found = threading.Barrier(2, timeout=60), {}
    ranks = [
        selector(data, PROJECTED, share=RankShare(rank, 2), wait=barrier.wait) for rank in range(2)
    ]

    def run(rank):
        found[rank] = [*ranks[rank].select(tmp_path / "both")][-1]

    threads = [threading.Thread(target=run, args=(rank,)) for rank in range(2)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert found[0] == found[1] == alone


def test_the_page_says_that_scores_are_of_projected_gradients(data, tmp_path):  # noqa: F811
    found = selected(data, tmp_path / "s", PROJECTED)
    assert not found.are_exact
    for one in (found, replace(found, are_exact=True)):
        write_results(one, data.pool, tmp_path)
        page = (tmp_path / "documents.html").read_text()
        assert ("Scores are of projected gradients" in page) != one.are_exact


def test_a_projection_on_nothing_is_refused():
    with pytest.raises(ValueError, match="at least 1 direction, got 0"):
        GradientProjection(0)
