"""Records of predictions: verdicts, notes and problems."""

import numpy as np
import pytest
import torch

from modules.classifier.calibration import (
    Calibration,
)
from modules.classifier.record import PredictionRecord


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
