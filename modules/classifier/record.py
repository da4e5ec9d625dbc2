"""What is said of a text that somebody wants judged. Shape legend: N = texts, C = classes."""

from typing import Any

import torch
from torch import Tensor

from modules.classifier.calibration import Calibration

FEW_WORDS = 20
"""Below that many words a text says little."""


class PredictionRecord:
    """Turns logits into records that say how sure they are.

    Args:
        classes: Names of the classes.
        calibration: What validation said.
    """

    def __init__(self, classes: list[str], calibration: Calibration):
        self.classes = classes
        self.at = calibration

    def __call__(self, logits_C: Tensor, batch: Any, index: int) -> dict[str, Any]:
        """The record of one text of a batch.

        Of two classes `label` is the positive one where its probability reaches the threshold of
        `false_positive_rate`, a share of `num_human` texts of validation, and `verdict` says so in
        words. `id` is what a table calls a text. A text that cannot be judged gets no label but the
        reason, as `problem`.
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
            "verdict": self._told(logits_C),
        }

    def _told(self, logits_C: Tensor) -> str:
        """Why the label is what it is, in words."""
        at, (negative, positive) = self.at, self.classes
        odds, is_positive = float(at.odds(logits_C)), bool(at.calls(logits_C))
        p, least = apart(odds, at.least_odds)
        said = (
            f"{positive if is_positive else negative}: p_{positive} {p} is "
            f"{'not ' if is_positive else ''}below the threshold {least}"
        )
        if not at.num_negative:
            return f"{said}, which no validation text has decided"
        share = f"{at.false_positive_rate:.2%}" if at.false_positive_rate else "none"
        return f"{said}, which {share} of {at.num_negative} {negative} validation texts reach"

    def _among(self, p_C: Tensor) -> dict[str, Any]:
        shares = {f"p_{name}": p_C[i].item() for i, name in enumerate(self.classes)}
        return {"label": self.classes[int(p_C.argmax())], **shares}

    def _note(self, words: int, density: float) -> str:
        """Why a verdict may mean little; empty where nothing speaks against it."""
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
    """Probabilities of these log-odds in as many digits as tell them apart, or the log-odds."""
    p = torch.tensor(odds, dtype=torch.float64).sigmoid().tolist()
    for digits in (3, 6):
        told = tuple(f"{one:.{digits}g}" for one in p)
        if len(set(told)) == len(set(odds)):
            return told
    return tuple(f"of log-odds {one:.6g}" for one in odds)
