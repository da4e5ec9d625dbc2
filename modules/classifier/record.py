"""Per-text prediction records: label, calibrated probability, threshold, warnings.

Shape legend: C = classes.
"""

from typing import Any

import torch
from torch import Tensor

from modules.classifier.calibration import Calibration

FEW_WORDS = 20
"""With fewer words than this, a prediction is unreliable."""


class PredictionRecord:
    """Turns logits into records with calibrated probabilities.

    Args:
        classes: Names of the classes.
        calibration: Fitted on validation texts.
    """

    def __init__(self, classes: list[str], calibration: Calibration):
        self.classes = classes
        self.at = calibration

    def __call__(self, logits_C: Tensor, batch: Any, index: int) -> dict[str, Any]:
        """The record of one text of a batch.

        With two classes, `label` is the positive one if its probability reaches the threshold of
        `false_positive_rate`, a share of the `num_<negative class>` validation texts, and `verdict`
        says so in words. `id` is the id of the text in its table. A text that cannot be classified
        has no label but a `problem`.
        """
        record: dict[str, Any] = {"origin": batch["origin_N"][index]}
        if name := batch.get("id_N", [""] * (index + 1))[index]:
            record["id"] = name
        problem = batch["problem_N"][index]
        if not problem and not bool(torch.isfinite(logits_C).all()):
            problem = "no finite score"
        if problem:
            return record | {"label": None, "problem": problem}
        p_C = self.at.calibrated(logits_C).softmax(0)
        is_binary = len(self.classes) == 2
        record |= self._binary(p_C, logits_C) if is_binary else self._among(p_C)
        record["words"] = len(batch["text_N"][index].split())
        record["windows"] = batch["windows_N"][index]
        note = self._note(record["words"], batch["density_N"][index])
        return record | ({"note": note} if note else {})

    def _binary(self, p_C: Tensor, logits_C: Tensor) -> dict[str, Any]:
        at = self.at
        return {
            "label": self.classes[int(at.calls(logits_C))],
            f"p_{self.classes[1]}": p_C[1].item(),
            "threshold": at.threshold,
            "false_positive_rate": at.false_positive_rate if at.num_negative else None,
            f"num_{self.classes[0]}": at.num_negative,
            "verdict": self._sentence(logits_C),
        }

    def _sentence(self, logits_C: Tensor) -> str:
        """The reason for the label, as a sentence."""
        at, (negative, positive) = self.at, self.classes
        odds, is_positive = float(at.odds(logits_C)), bool(at.calls(logits_C))
        p, least = apart(odds, at.least_odds)
        sentence = (
            f"{positive if is_positive else negative}: p_{positive} {p} is "
            f"{'not ' if is_positive else ''}below the threshold {least}"
        )
        if not at.num_negative:
            return f"{sentence}, which no validation text has decided"
        share = f"{at.false_positive_rate:.2%}" if at.false_positive_rate else "none"
        return f"{sentence}, which {share} of {at.num_negative} {negative} validation texts reach"

    def _among(self, p_C: Tensor) -> dict[str, Any]:
        shares = {f"p_{name}": p_C[i].item() for i, name in enumerate(self.classes)}
        return {"label": self.classes[int(p_C.argmax())], **shares}

    def _note(self, words: int, density: float) -> str:
        """Why the prediction may be unreliable; empty if there is no reason."""
        if words < FEW_WORDS:
            return f"only {words} words"
        if not self.at.least_density <= density <= self.at.most_density:
            return (
                f"{density:.2f} tokens a byte; nearly all validation texts had "
                f"{self.at.least_density:.2f} to {self.at.most_density:.2f}: another language, "
                "or no text"
            )
        return ""


def apart(*odds: float) -> tuple[str, ...]:
    """Probabilities of these log-odds with enough digits to differ, or else the log-odds."""
    p = torch.tensor(odds, dtype=torch.float64).sigmoid().tolist()
    for digits in (3, 6):
        shown = tuple(f"{one:.{digits}g}" for one in p)
        if len(set(shown)) == len(set(odds)):
            return shown
    return tuple(f"of log-odds {one:.6g}" for one in odds)
