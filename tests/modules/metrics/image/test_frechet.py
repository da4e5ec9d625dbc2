from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import numpy as np
import pytest
import torch
from pytorch_fid.fid_score import calculate_frechet_distance, compute_statistics_of_path

from modules.metrics.image.frechet import FeatureSums, Gaussian, frechet_distance


def features(num: int, size: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    mix = torch.randn(size, size, generator=generator)
    return torch.randn(num, size, generator=generator) @ mix + seed


def sums_of(feature_BD: torch.Tensor, *cuts: int) -> FeatureSums:
    sums = FeatureSums(feature_BD.shape[1])
    for part in feature_BD.tensor_split(cuts):
        sums.add(part)
    return sums


def gaussian(mean: list[float], deviations: list[float]) -> Gaussian:
    deviation_D = torch.tensor(deviations, dtype=torch.float64)
    return Gaussian(torch.tensor(mean, dtype=torch.float64), torch.diag(deviation_D**2))


@pytest.mark.parametrize("size", [2, 3, 16, 64])
def test_the_distance_is_the_references(size):
    first, second = (sums_of(features(300, size, seed)).gaussian() for seed in (1, 2))
    pairs = [g.numpy() for side in (first, second) for g in (side.mean_D, side.covariance_DD)]
    assert frechet_distance(first, second) == pytest.approx(calculate_frechet_distance(*pairs))


def test_independent_features_add_up_in_closed_form():
    first = gaussian([0.0, 1.0, 2.0], [1.0, 2.0, 0.0])
    second = gaussian([1.0, 1.0, 0.0], [3.0, 0.0, 0.0])
    assert frechet_distance(first, second) == pytest.approx((1 + 4) + (1 - 3) ** 2 + 2**2)


def test_one_feature_alone_has_the_textbook_distance():
    first, second = gaussian([1.0], [0.5]), gaussian([3.0], [2.0])
    assert frechet_distance(first, second) == pytest.approx(2**2 + 1.5**2)


def test_a_set_is_at_no_distance_from_itself_even_with_fewer_images_than_features():
    few = sums_of(features(10, 64, 1)).gaussian()
    assert abs(frechet_distance(few, few)) < 1e-9 * few.covariance_DD.trace()


def test_the_distance_has_no_direction():
    first, second = (sums_of(features(50, 8, seed)).gaussian() for seed in (1, 2))
    assert frechet_distance(first, second) == pytest.approx(frechet_distance(second, first))
    assert frechet_distance(first, second) > 0


def test_shifting_a_set_adds_the_squared_shift():
    feature_BD = features(100, 8, 1)
    first, second = sums_of(feature_BD).gaussian(), sums_of(feature_BD + 2).gaussian()
    assert frechet_distance(first, second) == pytest.approx(8 * 4, rel=1e-5)


def test_sums_give_mean_and_covariance_however_the_images_come():
    feature_BD = features(40, 5, 3)
    for cuts in ((), (10,), (1, 1, 7, 39)):
        made = sums_of(feature_BD, *cuts).gaussian()
        np.testing.assert_allclose(made.mean_D, feature_BD.double().mean(0))
        np.testing.assert_allclose(made.covariance_DD, np.cov(feature_BD.double().T), rtol=1e-9)
        assert made.count == 40


def test_ranks_and_merged_sets_are_one_set():
    feature_BD = features(40, 5, 3)
    here, there, whole = sums_of(feature_BD[:13]), sums_of(feature_BD[13:]), sums_of(feature_BD)
    reduced = on_two_ranks(here, there)
    assert here.count == 13
    here.merge(there)
    for made in (*reduced, here):
        torch.testing.assert_close(made.scatter_DD, whole.scatter_DD)
        torch.testing.assert_close(made.mean_D, whole.mean_D)
        assert made.count == 40


def on_two_ranks(here: FeatureSums, there: FeatureSums) -> list[FeatureSums]:
    """The sums of each of two ranks, which run in parallel and reduce at the same points."""
    meeting, parts = Barrier(2), [torch.zeros(())] * 2

    def sums(rank: int) -> FeatureSums:
        def reduce(value: torch.Tensor) -> torch.Tensor:
            parts[rank] = value
            meeting.wait(10)
            total = parts[0] + parts[1]
            meeting.wait(10)
            return total

        return (here, there)[rank].over_ranks(reduce)

    with ThreadPoolExecutor(2) as ranks:
        return list(ranks.map(sums, range(2)))


@pytest.mark.parametrize("far", [1e5, 1e8, -3e9])
def test_means_far_from_zero_cost_no_digit(far):
    first, second = (features(300, 16, seed).double() for seed in (1, 2))
    near = frechet_distance(sums_of(first).gaussian(), sums_of(second).gaussian())
    moved = [sums_of(feature + far, 40, 41, 200) for feature in (first, second)]
    assert frechet_distance(*(m.gaussian() for m in moved)) == pytest.approx(near, rel=1e-6)
    parts = [sums_of(part + far) for part in (first[:100], first[100:])]
    spread = [s.gaussian() for s in on_two_ranks(*parts)]
    assert frechet_distance(spread[0], sums_of(second + far).gaussian()) == pytest.approx(
        near, rel=1e-6
    )
    assert torch.equal(spread[0].mean_D, spread[1].mean_D)


def test_a_rank_without_images_adds_nothing():
    some, none = sums_of(features(20, 4, 1)), FeatureSums(4)
    wanted = some.gaussian()
    for sums in on_two_ranks(some, none):
        torch.testing.assert_close(sums.gaussian().covariance_DD, wanted.covariance_DD)
    none.merge(some)
    some.merge(FeatureSums(4))
    torch.testing.assert_close(none.gaussian().mean_D, wanted.mean_D)
    torch.testing.assert_close(some.gaussian().mean_D, wanted.mean_D)


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_numbers_that_are_not_finite_are_refused_by_name(tmp_path, number):
    feature_BD = features(10, 4, 1)
    feature_BD[3, 2] = feature_BD[7, 0] = number
    with pytest.raises(ValueError, match=r"features \(tiny\) of 2 of 10 images are not finite"):
        FeatureSums(4, "tiny").add(feature_BD)
    sound = sums_of(features(10, 4, 1)).gaussian()
    with pytest.raises(ValueError, match="numbers that are not finite"):
        frechet_distance(sound, Gaussian(sound.mean_D * number, sound.covariance_DD))
    np.savez(tmp_path / "a.npz", mu=np.zeros(3), sigma=np.full((3, 3), number))
    with pytest.raises(ValueError, match=r"a\.npz: sigma holds numbers that are not finite"):
        Gaussian.load(tmp_path / "a.npz")


def test_broken_files_of_statistics_are_named(tmp_path):
    path = tmp_path / "real.npz"
    sums_of(features(10, 4, 1)).gaussian().save(path)
    whole = path.read_bytes()
    np.save(tmp_path / "array.npy", np.zeros(3))
    array = (tmp_path / "array.npy").read_bytes()
    pickled = np.array([{}], dtype=object)
    np.savez(tmp_path / "objects.npz", mu=pickled, sigma=pickled)
    objects = (tmp_path / "objects.npz").read_bytes()
    for content in (b"", b"text", whole[:200], whole[: len(whole) // 2], array, objects):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"real\.npz cannot be read as an \.npz file"):
            Gaussian.load(path)


def test_statistics_come_back_from_their_file_and_the_reference_reads_it(tmp_path):
    sums = sums_of(features(40, 5, 3))
    sums.features = "tiny 5"
    made, path = sums.gaussian(), tmp_path / "cache" / "train.npz"
    made.save(path)
    made.save(path)
    read = Gaussian.load(path)
    assert torch.equal(read.mean_D, made.mean_D)
    assert torch.equal(read.covariance_DD, made.covariance_DD)
    assert (read.count, read.features) == (40, "tiny 5")
    assert [file.name for file in path.parent.iterdir()] == ["train.npz"]
    mean, covariance = compute_statistics_of_path(str(path), None, 1, 5, "cpu")
    assert np.array_equal(mean, made.mean_D)
    assert np.array_equal(covariance, made.covariance_DD)


def test_the_references_files_are_read(tmp_path):
    np.savez(tmp_path / "a.npz", mu=np.zeros(3), sigma=np.eye(3))
    read = Gaussian.load(tmp_path / "a.npz")
    assert (read.count, read.features, len(read.mean_D)) == (0, "", 3)


def test_what_cannot_be_compared_is_refused(tmp_path):
    first, second = gaussian([0.0], [1.0]), gaussian([0.0, 0.0], [1.0, 1.0])
    with pytest.raises(ValueError, match="1 and 2 of them"):
        frechet_distance(first, second)
    named = [Gaussian(first.mean_D, first.covariance_DD, 2, name) for name in ("a", "b")]
    with pytest.raises(ValueError, match="a and b"):
        frechet_distance(*named)
    with pytest.raises(ValueError, match="at least 2 images, got 1"):
        sums_of(torch.zeros(1, 3)).gaussian()
    with pytest.raises(ValueError, match=r"\[B, 3\], got \(2, 4\)"):
        FeatureSums(3).add(torch.zeros(2, 4))
    np.savez(tmp_path / "bad.npz", mu=np.zeros(3))
    with pytest.raises(ValueError, match=r"bad.npz: no sigma"):
        Gaussian.load(tmp_path / "bad.npz")
    np.savez(tmp_path / "bad.npz", mu=np.zeros(3), sigma=np.eye(2))
    with pytest.raises(ValueError, match=r"mu has 3 features, sigma \(2, 2\)"):
        Gaussian.load(tmp_path / "bad.npz")
