"""Metrics of evaluated texts, against scikit-learn's, plain and under attacks."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from modules.classifier.evaluate import (
    COLUMNS,
    EvaluatedTexts,
    at_threshold,
    evaluate,
)
from tests.fixtures.classifier_logits import drawn, judged

sklearn = pytest.importorskip("sklearn")


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
