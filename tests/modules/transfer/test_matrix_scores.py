import numpy as np
import pyarrow.parquet as pq
import pytest
from sklearn.metrics import roc_auc_score

from modules.metrics.classification import auroc
from modules.transfer.ensemble import average
from modules.transfer.matrix import measured
from modules.transfer.scores import aligned, read
from modules.transfer.under_attack import under_attack
from tests.fixtures.simulated_scores import detector, texts, write


@pytest.fixture
def path(tmp_path):
    write(detector(texts(6), 1.0), tmp_path / "scores.parquet")
    return tmp_path / "scores.parquet"


def edit(path, **columns):
    table = pq.read_table(path).to_pydict() | columns
    import pyarrow as pa

    pq.write_table(pa.table(table), path)


def test_a_file_comes_back_with_human_texts_under_the_generator_of_their_pair(path):
    given, read_scores = detector(texts(6), 1.0), read(path)["none"]
    for name in ("id", "pair_id", "generator", "domain", "label", "p_machine"):
        assert (getattr(read_scores, name) == getattr(given, name)).all()


def test_attacked_copies_stand_apart_from_the_plain_texts(tmp_path):
    plain = detector(texts(4), 1.0)
    write(plain, tmp_path / "s.parquet", case=detector(texts(4), 0.1))
    by_attack = read(tmp_path / "s.parquet")
    assert sorted(by_attack) == ["case", "none"]
    assert (by_attack["none"].p_machine == plain.p_machine).all()


def test_a_human_text_without_a_pair_tests_every_generator(path):
    edit(path, paired_generator=[""] * 36)
    scores = read(path)["none"]
    for name in scores.generators:
        chosen = scores.pairs_of(name)
        assert (scores.label[chosen] == 0).sum() == 18
        assert (scores.label[chosen] == 1).sum() == 6


def test_a_generator_is_tested_on_its_own_texts_and_the_human_ones_of_its_pairs():
    scores = texts(5)
    chosen = scores.pairs_of("middle")
    assert set(scores.generator[chosen]) == {"middle"}
    assert chosen.sum() == 10


def test_what_is_wrong_with_a_file_is_told_with_its_name(path, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no scores .*none\.parquet; run `test` first"):
        read(tmp_path / "none.parquet")
    good = pq.read_table(path)
    for columns, message in [
        ({"p_machine": [1.5] + [0.5] * 35}, r"p_machine of text 0 is 1\.5, not within \[0, 1\]"),
        ({"p_machine": [float("nan")] + [0.5] * 35}, "p_machine of text 0 is nan"),
        ({"label": [2] + [0] * 35}, "label must be 0 or 1, got 2"),
        ({"id": [7] * 36}, "text 7 occurs 36 times"),
    ]:
        pq.write_table(good, path)
        edit(path, **columns)
        with pytest.raises(ValueError, match=message):
            read(path)
    pq.write_table(good.drop_columns(["label", "domain"]), path)
    with pytest.raises(ValueError, match=r"scores\.parquet has no column domain, label"):
        read(path)
    pq.write_table(good.slice(0, 0), path)
    with pytest.raises(ValueError, match="no texts"):
        read(path)


def test_detectors_are_brought_into_one_order_and_must_have_the_same_texts():
    scores = detector(texts(6), 1.0)
    shuffled = scores.where(np.random.default_rng(0).permutation(len(scores)))
    same = aligned({"a": scores, "b": shuffled})
    assert (same["b"].p_machine == scores.p_machine).all()
    with pytest.raises(ValueError, match=r"a and b were tested on different texts: 1 of them .*35"):
        aligned({"a": scores, "b": scores.where(np.arange(35))})
    with pytest.raises(ValueError, match="nothing was tested"):
        aligned({})


def test_texts_that_differ_under_one_id_are_refused():
    scores = texts(6)
    other = texts(6, ("small", "middle", "huge"))
    with pytest.raises(ValueError, match="their generator differs"):
        aligned({"a": scores, "b": other})


def test_an_ensemble_says_the_mean_and_of_one_member_that_member():
    first, second = detector(texts(6), 1.0), detector(texts(6), 1.0, seed=1)
    both = average([first, second])
    assert both.p_machine == pytest.approx((first.p_machine + second.p_machine) / 2)
    assert (average([first]).p_machine == first.p_machine).all()
    with pytest.raises(ValueError, match="nothing was tested"):
        average([])


def test_probabilities_that_are_all_one_do_not_hide_the_ranks(tmp_path):
    on = texts(40)
    score = 60 + detector(on, 1.0).p_machine  # of such log-odds every probability is 1
    write(on.saying(np.ones(len(on))), tmp_path / "scores.parquet")
    edit(tmp_path / "scores.parquet", score=score.tolist())
    scores = read(tmp_path / "scores.parquet")["none"]
    weight = np.ones((1, len(on)), np.float32)
    wanted = roc_auc_score(on.label, score)
    both = average([scores, scores.saying(scores.p_machine, 2 * scores.score)])
    assert 0.6 < wanted < 0.99
    for detector_scores in (scores, both):
        matrix = measured({"d": [detector_scores]}, auroc, weight, ["small"])
        small = on.generator == "small"
        assert matrix.values[0, 0] == pytest.approx(roc_auc_score(on.label[small], score[small]))
    met = {"none": scores, "case": scores.where(on.label == 1).saying(np.ones(120), np.zeros(120))}
    rates = under_attack({"d": [met]}, auroc, weight)
    assert rates.values[0].tolist() == pytest.approx([wanted, 0.0])


def test_a_score_that_is_not_finite_is_refused_by_name(path):
    edit(path, score=[0.0, float("inf")] + [0.5] * 34)
    with pytest.raises(ValueError, match="attack none: score of text 1 is inf, which"):
        read(path)
