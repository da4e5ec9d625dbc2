from dataclasses import replace

import numpy as np
import pytest

from modules.metrics.bootstrap import interval
from modules.metrics.classification import accuracy
from modules.transfer.findings import findings
from modules.transfer.matrix import Matrix, acc_gap, arrows, measured
from modules.transfer.summary import by_size, left_out, left_out_minus, minus_own
from modules.transfer.under_attack import lost, under_attack
from tests.fixtures.simulated_scores import GENERATORS, detector, resample, texts

TEXTS = texts(60)
WEIGHT = resample(TEXTS.pair_id, 200)


def by_hand(scores, generator):
    """Accuracy of one detector on one generator, in a loop."""
    right = [
        (p >= 0.5) == (label == 1)
        for p, label, name in zip(scores.p_machine, scores.label, scores.generator, strict=True)
        if name == generator
    ]
    return sum(right) / len(right)


@pytest.fixture(scope="module")
def predictions():
    singles = {g: [detector(TEXTS, 0.6, s, g) for s in range(2)] for g in GENERATORS}
    pooled = {f"pooled_without_{g}": [detector(TEXTS, 1.0, 9)] for g in GENERATORS}
    return singles | {"pooled": [detector(TEXTS, 1.0, 8)]} | pooled


@pytest.fixture(scope="module")
def rates(predictions):
    return measured(predictions, accuracy, WEIGHT, GENERATORS)


def test_every_cell_is_the_mean_accuracy_of_its_seeds(predictions, rates):
    for d, seeds in enumerate(predictions.values()):
        for g, generator in enumerate(GENERATORS):
            wanted = np.mean([by_hand(scores, generator) for scores in seeds])
            assert rates.values[d, g] == pytest.approx(wanted)


def test_the_gap_is_the_own_detectors_accuracy_minus_the_others(rates):
    gap = acc_gap(rates)
    for name in rates.trained_on:
        for target in GENERATORS:
            wanted = rates.at(target, target)[0] - rates.at(name, target)[0]
            assert gap.at(name, target)[0] == pytest.approx(wanted)
    for name in GENERATORS:
        assert (gap.at(name, name) == 0).all()


def test_a_gap_needs_a_detector_named_after_a_generator(rates):
    alone = Matrix(["pooled"], list(GENERATORS), rates.quantity_DGR[3:4])
    with pytest.raises(ValueError, match=r"no row is named after a column\. Rows: pooled"):
        acc_gap(alone)


def matrix(values, trained_on, tested_on=("a", "b")):
    quantity = np.array(values, float)[:, :, None].repeat(3, 2)
    return Matrix(list(trained_on), list(tested_on), quantity)


def test_arrows_have_the_least_threshold_above_the_gap_and_none_points_to_itself():
    gap = matrix([[0.0, 0.015], [0.04, 0.0], [-0.5, -0.5]], ["a", "b", "pooled"])
    drawn = arrows(gap)
    assert [(arrow.source, arrow.target, arrow.below) for arrow in drawn] == [("a", "b", 0.02)]
    assert str(drawn[0]) == "a -> b  < 2 %  (+1.5 [+1.5, +1.5])"
    wider = arrows(gap, thresholds=(0.05, 0.01))
    assert [(arrow.source, arrow.target, arrow.below) for arrow in wider] == [
        ("a", "b", 0.05),
        ("b", "a", 0.05),
    ]


def test_a_name_that_is_not_there_is_told_with_those_that_are(rates):
    with pytest.raises(ValueError, match="nothing was trained on gpt; there are small, middle"):
        rates.at("gpt", "small")
    with pytest.raises(ValueError, match="nothing was tested on gpt; there are small"):
        rates.at("small", "gpt")


def test_pooled_minus_own_is_the_mean_over_generators(rates):
    wanted = np.mean([rates.at("pooled", g)[0] - rates.at(g, g)[0] for g in GENERATORS])
    assert minus_own(rates)[0] == pytest.approx(wanted)


def test_on_a_generator_left_out_rivals_that_saw_it_do_not_count(rates):
    value = {(d, g): rates.at(d, g)[0] for d in rates.trained_on for g in GENERATORS}
    lead = {
        name: np.mean(
            [value[f"pooled_without_{g}", g] - value[name, g] for g in GENERATORS if g != name]
        )
        for name in GENERATORS
    }
    best = np.mean(
        [
            value[f"pooled_without_{g}", g] - max(value[n, g] for n in GENERATORS if n != g)
            for g in GENERATORS
        ]
    )
    leads = {name: quantity[0] for name, quantity in left_out_minus(rates).items()}
    wanted = lead | {"any single": np.mean([*lead.values()]), "best single": best}
    assert leads == pytest.approx(wanted)
    own = np.mean([value[f"pooled_without_{g}", g] for g in GENERATORS])
    assert left_out(rates)[0] == pytest.approx(own)


def test_transfer_up_and_down_are_means_over_pairs_of_different_size():
    gap = matrix([[0.0, 0.1], [0.3, 0.0]], ["a", "b"])
    gaps = by_size(gap, {"a": 1, "b": 2})
    assert gaps["smaller to larger"][0] == 0.1
    assert gaps["larger to smaller"][0] == 0.3
    with pytest.raises(ValueError, match="no generator of a, b is larger"):
        by_size(gap, {"a": 1, "b": 1})


def test_an_attack_costs_accuracy_and_what_it_leaves_alone_counts_as_it_is():
    plain, weak = detector(TEXTS, 2.0), detector(TEXTS, 0.1)
    machine = weak.where(TEXTS.label == 1)
    rates = under_attack({"d": [{"none": plain, "all": weak, "some": machine}]}, accuracy, WEIGHT)
    assert rates.tested_on == ["none", "all", "some"]
    right = {
        name: (one_p >= 0.5) == (TEXTS.label == 1)
        for name, one_p in (("plain", plain.p_machine), ("weak", weak.p_machine))
    }
    some = np.where(TEXTS.label == 1, right["weak"], right["plain"])
    for attack, under in (("all", right["weak"]), ("some", some)):
        wanted = right["plain"].mean() - under.mean()
        assert lost(rates).at("d", attack)[0] == pytest.approx(wanted)
    same = {"d": [{"none": plain, "case": plain}]}
    assert (lost(under_attack(same, accuracy, WEIGHT)).quantity_DGR == 0).all()


def test_different_attacks_and_strange_texts_are_refused():
    plain = detector(TEXTS, 1.0)
    with pytest.raises(ValueError, match="different attacks"):
        under_attack({"a": [{"none": plain}, {"none": plain, "case": plain}]}, accuracy, WEIGHT)
    few = {"none": plain.where(np.arange(100)), "case": plain}
    with pytest.raises(ValueError, match="attack case has texts that are not among the plain ones"):
        under_attack({"a": [few]}, accuracy, WEIGHT[:, :100])


def test_findings_add_averaged_probabilities_of_those_that_did_not_see_a_generator(predictions):
    singles = {
        name: {str(s): {"none": seeds[s % len(seeds)]} for s in range(2)}
        for name, seeds in predictions.items()
    }
    held = findings(singles, 100)
    small = [predictions[name][0].p_machine for name in ("middle", "large")]
    other = [predictions[name][1].p_machine for name in ("middle", "large")]
    wanted = np.mean([by_hand(TEXTS.saying((a + b) / 2), "small") for a, b in (small, other)])
    assert held.accuracy.at("average_without_small", "small")[0] == pytest.approx(wanted)
    assert held.num_human == dict.fromkeys(sorted(GENERATORS), 60)
    quantities = held.quantities({"small": 1, "middle": 2, "large": 3})
    assert interval(quantities["pooled minus own"]).low < quantities["pooled minus own"][0]
    assert "pooled minus average, on a generator left out" in quantities
    assert "gap from smaller to larger" in quantities


def test_attacked_texts_that_a_table_brought_leave_the_matrices_of_plain_ones_as_they_are():
    plain = detector(TEXTS, 1.0)
    own = replace(plain.where(TEXTS.label == 1), id=1000 + np.arange(180))
    result = findings({"pooled": {"0": {"none": plain, "homoglyph": own}}}, 20)
    assert result.lost is None
    assert result.accuracy.values == pytest.approx(
        findings({"pooled": {"0": {"none": plain}}}, 20).accuracy.values
    )
    both = {"none": plain, "homoglyph": own, "case": plain}
    lost_DA = findings({"pooled": {"0": both}}, 20).lost
    assert lost_DA is not None
    assert lost_DA.tested_on == ["case"]
