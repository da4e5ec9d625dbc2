"""Measures, temperatures and thresholds."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from modules.classifier.calibration import (
    RIDGE,
    Calibration,
    densities,
    fit_logistic,
    fit_temperature,
    threshold_of,
)
from modules.classifier.evaluate import (
    COLUMNS,
    EvaluatedBatches,
    EvaluatedTexts,
    at_threshold,
    evaluate,
)
from modules.classifier.loss import classification_loss, text_logits
from modules.classifier.record import PredictionRecord

sklearn = pytest.importorskip("sklearn")


def drawn(num, classes, seed, spread=2.0):
    rng = torch.Generator().manual_seed(seed)
    logits = spread * torch.randn(num, classes, generator=rng, dtype=torch.float64)
    label = torch.multinomial(logits.softmax(1), 1, generator=rng)[:, 0]
    return logits, label


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([30, 200, 700]))
def test_binary_measures_are_those_of_scikit_learn(seed, num):
    from sklearn import metrics

    logits, label = drawn(num, 2, seed)
    values = evaluate(logits, label, 0.01)
    p, y = logits.softmax(1)[:, 1].numpy(), label.numpy()
    passed, caught, _ = metrics.roc_curve(y, p, drop_intermediate=False)
    wanted = {
        "loss": metrics.log_loss(y, p),
        "accuracy": metrics.accuracy_score(y, p >= 0.5),
        "auroc": metrics.roc_auc_score(y, p),
        "f1": metrics.f1_score(y, p >= 0.5),
        "tpr_at_1_fpr": caught[passed <= 0.01 + 1e-9].max(),
    }
    assert values == pytest.approx(wanted, abs=1e-6)


def test_measures_of_more_classes_are_those_of_scikit_learn():
    from sklearn import metrics

    logits, label = drawn(300, 3, 1)
    p, y = logits.softmax(1).numpy(), label.numpy()
    assert evaluate(logits, label, 0.01) == pytest.approx(
        {
            "loss": metrics.log_loss(y, p),
            "accuracy": metrics.accuracy_score(y, p.argmax(1)),
            "auroc": metrics.roc_auc_score(y, p, multi_class="ovr"),
            "f1": metrics.f1_score(y, p.argmax(1), average="macro"),
        },
        abs=1e-5,
    )


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6), st.floats(0.2, 8.0), st.sampled_from([2, 4]))
def test_the_temperature_has_the_least_loss_of_a_fine_grid(seed, wrong, classes):
    logits, label = drawn(400, classes, seed)
    logits = wrong * logits
    best = fit_temperature(logits, label)
    doubt = 1 / 402
    wanted = (1 - doubt) * F.one_hot(label, classes) + doubt / (classes - 1) * (
        1 - F.one_hot(label, classes)
    )
    loss = F.cross_entropy(logits / best, wanted)
    for other in np.geomspace(0.05, 20, 300):
        assert loss <= F.cross_entropy(logits / other, wanted) + 1e-9


def test_drawn_labels_need_the_temperature_that_undoes_the_scale():
    logits, label = drawn(20_000, 2, 0)
    assert fit_temperature(3 * logits, label) == pytest.approx(3, rel=0.05)


def test_texts_told_apart_by_all_logits_stay_finite():
    logits = torch.tensor([[0.0, 9.0], [9.0, 0.0]])
    p = torch.sigmoid(torch.tensor(9 / fit_temperature(logits, torch.tensor([1, 0]))))
    assert p.item() == pytest.approx(3 / 4)
    a, b = fit_logistic(torch.tensor([-1.0, 1.0]), torch.tensor([0, 1]))
    assert 0 < a < 100
    assert b == pytest.approx(0, abs=1e-9)


def test_two_classes_are_calibrated_by_slope_and_offset_and_more_by_a_temperature():
    logits, label = drawn(5000, 2, 0)
    moved = 3 * logits + torch.tensor([0.0, 6.0])
    calibration = Calibration.of(moved, label, 0.05)
    assert calibration.temperature == pytest.approx(3, rel=0.1)
    assert calibration.offset == pytest.approx(-2, abs=0.15)
    p = calibration.calibrated(moved).softmax(1)[:, 1]
    assert calibration.num_negative == (label == 0).sum()
    rate = (p[label == 0] >= calibration.threshold).double().mean().item()
    assert rate == pytest.approx(calibration.false_positive_rate)
    assert 0.045 < rate <= 0.05
    logits, label = drawn(5000, 3, 0)
    three = Calibration.of(2 * logits, label, 0.05)
    assert three == Calibration(fit_temperature(2 * logits, label))
    assert torch.allclose(three.calibrated(logits), logits / three.temperature)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([40, 300]), st.floats(30, 1000))
def test_scores_far_from_zero_are_ranked_as_they_are(seed, num, scale):
    from sklearn import metrics

    logits, label = drawn(num, 2, seed)
    odds = scale * (logits[:, 1] - logits[:, 0] + 3)  # nearly all probabilities are 1
    far = torch.stack([torch.zeros_like(odds), odds], dim=1)
    values, y = evaluate(far, label, 0.01), label.numpy()
    assert values["auroc"] == pytest.approx(metrics.roc_auc_score(y, odds.numpy()), abs=1e-6)
    passed, caught, _ = metrics.roc_curve(y, odds.numpy(), drop_intermediate=False)
    assert values["tpr_at_1_fpr"] == pytest.approx(caught[passed <= 0.01 + 1e-9].max(), abs=1e-6)
    calibration = Calibration(temperature=1e-3, offset=1.0)
    threshold, share = threshold_of(calibration.odds(far[label == 0]), 0.05)
    at = replace(calibration, threshold_odds=threshold)
    assert at.calls(far)[label == 0].double().mean() == pytest.approx(share)
    assert share <= 0.05


def test_far_logits_of_more_classes_are_ranked_as_they_are():
    from sklearn import metrics

    logits, label = drawn(300, 3, 1)
    y = label.numpy()
    wanted = np.mean(
        [
            metrics.roc_auc_score(y == c, logits[:, c] - np.logaddexp(*logits[:, others].T))
            for c, others in enumerate(([1, 2], [0, 2], [0, 1]))
        ]
    )
    assert evaluate(logits, label, 0.01)["auroc"] == pytest.approx(wanted, abs=1e-6)
    far = evaluate(1e4 * logits, label, 0.01)["auroc"]
    best = np.mean(
        [
            metrics.roc_auc_score(y == c, (logits[:, c] - logits[:, others].amax(1)).numpy())
            for c, others in enumerate(([1, 2], [0, 2], [0, 1]))
        ]
    )
    assert far == pytest.approx(best, abs=1e-6)


@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("classes", [2, 3])
def test_nothing_is_measured_or_calibrated_of_scores_that_are_not_finite(bad, classes):
    logits, label = drawn(30, classes, 0)
    logits[7, 1] = bad
    for what in (evaluate, Calibration.of):
        with pytest.raises(ValueError, match=r"1 of 30 texts have no finite score.*: 7\."):
            what(logits, label, 0.1)


def judged(logits, label, pairs):
    """An evaluation of some texts in two batches."""
    batches = EvaluatedBatches.empty()
    for some in (slice(0, 3), slice(3, None)):
        num = len(label[some])
        columns = {f"{name}_N": [""] * num for name in COLUMNS}
        places = [f"t.csv:{i + 1}" for i in range(len(label))][some]
        batch = columns | {"pair_id_N": pairs[some], "label_N": label[some], "origin_N": places}
        batch |= {"row_N": [*range(len(label))][some], "density_N": [0.2] * num}
        batch["attack_N"] = ["none"] * num
        batches.add(logits[some], batch)
    return batches


def test_an_evaluation_with_a_score_that_is_not_finite_names_the_text():
    logits, label = drawn(9, 2, 0)
    assert len(judged(logits, label, list("abcdefghi")).whole().row_N) == 9
    logits[1, 0], logits[7] = torch.inf, torch.nan
    with pytest.raises(ValueError, match=r"2 of 9 texts have no finite .*: t.csv:2, t.csv:8\."):
        judged(logits, label, list("abcdefghi")).whole()


def test_attacked_texts_take_the_place_of_their_own_or_of_their_class():
    def texts(rows, labels, attacks):
        columns = {name: [""] * len(rows) for name in COLUMNS} | {"attack": attacks}
        logits, density = torch.zeros(len(rows), 2), torch.zeros(len(rows))
        return EvaluatedTexts(logits, torch.tensor(labels), torch.tensor(rows), density, columns)

    plain = ["none"] * 4
    numbered = texts([0, 1, 2, 3, 2], [0, 0, 1, 1, 1], [*plain, "case"])
    assert numbered.under("none").row_N.tolist() == [0, 1, 2, 3]
    assert numbered.under("case").row_N.tolist() == [0, 1, 2, 3]  # 2 is attacked, 3 left alone
    apart = texts([0, 1, 2, 3, 8, 9], [0, 0, 1, 1, 1, 1], [*plain, "case", "case"])
    assert apart.under("case").row_N.tolist() == [0, 1, 8, 9]  # no machine text without an attack
    both = texts([0, 1, 2, 3, 8, 9], [0, 0, 1, 1, 0, 1], [*plain, "case", "case"])
    assert both.under("case").row_N.tolist() == [8, 9]


def test_false_alarms_and_hits_at_the_threshold_are_those_of_the_texts_that_are_called():
    label = torch.tensor([0, 0, 0, 0, 1, 1, 1, 1])
    texts = judged(torch.zeros(8, 2), label, list("aaabccdd")).whole()
    values = at_threshold(torch.tensor([1, 0, 0, 0, 1, 1, 1, 0]).bool(), texts)
    assert values["fpr_at_threshold"] == pytest.approx((1 / 3 + 0) / 2)  # of the texts a and b
    assert values["tpr_at_threshold"] == 3 / 4


def test_the_cuts_of_one_text_count_as_one_text_in_rate_and_number_alike():
    odds = torch.tensor([9.0, 8.0, 7.0, 6.0, *range(6)])  # four cuts of one text, six of others
    logits = torch.stack([torch.zeros(10), odds], dim=1).double()
    both = torch.cat([logits, logits + torch.tensor([0.0, 20.0])])
    label = torch.tensor([0] * 10 + [1] * 10)
    whose = ["a"] * 4 + list("bcdefg") + ["machine"] * 10
    calibration = Calibration.of(both, label, 0.15, whose)
    assert calibration.num_negative == 7
    assert calibration.false_positive_rate == pytest.approx(1 / 7)  # four cuts of one text
    assert calibration.calls(logits).tolist() == [True] * 4 + [False] * 6
    assert Calibration.of(both, label, 0.15).num_negative == 10


def test_texts_of_one_class_decide_no_threshold():
    assert Calibration.of(torch.randn(5, 2), torch.ones(5).long(), 0.01).threshold == 0.5


@pytest.mark.parametrize(("center", "scale"), [(5, 3), (0, 1e-3), (-400, 50)])
def test_no_other_slope_and_offset_have_a_lower_penalised_loss(center, scale):
    rng = np.random.default_rng(0)
    x = rng.normal(0, 1, 500)
    label = (rng.random(500) < 1 / (1 + np.exp(1 - 2 * x))).astype(int)
    score = center + scale * x
    a, b = fit_logistic(torch.from_numpy(score), torch.from_numpy(label))
    deviation = score.std(ddof=1)
    error = 1 / (1 + np.exp(-(a * score + b))) - label  # of which these sums are the gradient
    standard = (score - score.mean()) / deviation
    assert error.sum() == pytest.approx(0, abs=1e-5)
    assert (error * standard).sum() + RIDGE * 500 * a * deviation == pytest.approx(0, abs=1e-5)


def test_scores_that_tell_the_reverse_are_not_turned_round():
    a, b = fit_logistic(torch.tensor([1.0, 2.0, 3.0, 4.0]), torch.tensor([1, 1, 0, 0]))
    assert 0 < a < 1e-5
    assert torch.sigmoid(torch.tensor(a * 2.5 + b)).item() == pytest.approx(0.5, abs=1e-4)


@given(
    st.lists(st.integers(0, 20), min_size=1, max_size=300), st.sampled_from([0.01, 0.05, 0.2, 0.5])
)
def test_no_threshold_with_so_few_false_alarms_is_lower(levels, rate):
    p = torch.tensor(levels, dtype=torch.float64) / 21
    threshold, rate_reached = threshold_of(p, rate)
    assert rate_reached == pytest.approx((p >= threshold).double().mean().item())
    assert rate_reached <= rate + 1e-12
    lower = p[p < threshold]
    if len(lower):
        assert (p >= lower.max()).double().mean() > rate


def test_densities_hold_nearly_all_texts():
    low, high = densities(torch.linspace(0.2, 0.4, 1001))
    assert 0.1 < low < 0.2
    assert 0.4 < high < 0.5


# Losses


def test_texts_have_the_mean_of_their_windows():
    logits, windows = torch.randn(7, 3), [2, 1, 4]
    logits_of_texts = text_logits(logits, windows)
    at = 0
    for n, num in enumerate(windows):
        assert torch.allclose(logits_of_texts[n], sum(logits[at : at + num]) / num)
        at += num
    assert text_logits(logits[:2], [0, 2])[0].isnan().all()


def test_the_loss_is_a_sum_of_weighted_errors():
    logits, label = drawn(9, 3, 0)
    weight = torch.tensor([0.5, 1.0, 2.0])
    loop = -sum(weight[y] * logits[n].log_softmax(0)[y] for n, y in enumerate(label.tolist()))
    assert classification_loss(logits, label, weight).item() == pytest.approx(loop.item(), rel=1e-5)
    plain = classification_loss(logits, label)
    assert torch.allclose(plain, classification_loss(logits, label, torch.ones(3)))


# Verdicts


def test_a_verdict_says_how_sure_it_is_and_when_it_means_little():
    at = Calibration(2.0, 1.0, 0.9, 0.008, 250, 0.2, 0.3, 5)
    say = PredictionRecord(["human", "machine"], at)
    batch = {
        "origin_N": ["a", "b", "c"],
        "problem_N": ["", "empty", ""],
        "text_N": ["word " * 30, "", "few words"],
        "windows_N": [2, 0, 1],
        "density_N": [0.5, 0.0, 0.25],
    }
    first = say(torch.tensor([0.0, 2.0]), batch, 0)
    assert first.pop("note").startswith("0.50 tokens a byte; nearly all validation texts had 0.20")
    assert first == {
        "origin": "a",
        "label": "human",
        "p_machine": pytest.approx(1 / (1 + np.exp(-2))),
        "threshold": 0.9,
        "false_positive_rate": 0.008,
        "num_human": 250,
        "verdict": "human: p_machine 0.881 is below the threshold 0.9, which 0.80% of 250 human "
        "validation texts reach",
        "words": 30,
        "windows": 2,
    }
    assert say(torch.tensor([0.0, 5.0]), batch, 2)["label"] == "machine"
    assert say(torch.tensor([0.0, 5.0]), batch, 2)["note"] == "only 2 words"
    nan = torch.tensor([torch.nan] * 2)
    assert say(nan, batch, 2) == {"origin": "c", "label": None, "problem": "no finite score"}
    assert say(nan, batch, 1) == {"origin": "b", "label": None, "problem": "empty"}


def test_a_verdict_between_probabilities_that_look_alike_says_what_tells_them_apart():
    batch = {"origin_N": ["a"], "problem_N": [""], "text_N": ["word " * 30]}
    batch |= {"windows_N": [1], "density_N": [0.25]}
    at = Calibration(threshold=1.0, threshold_odds=50.0, false_positive_rate=0.0, num_negative=22)
    say = PredictionRecord(["human", "machine"], at)
    verdict = say(torch.tensor([0.0, 49.0]), batch, 0)["verdict"]
    assert verdict == (
        "human: p_machine of log-odds 49 is below the threshold of log-odds 50, which none of 22 "
        "human validation texts reach"
    )
    assert say(torch.tensor([0.0, 50.0]), batch, 0)["label"] == "machine"
    free = PredictionRecord(["human", "machine"], Calibration())
    verdict = free(torch.tensor([0.0, 1.0]), batch, 0)["verdict"]
    assert verdict == (
        "machine: p_machine 0.731 is not below the threshold 0.5, which no validation text has "
        "decided"
    )
