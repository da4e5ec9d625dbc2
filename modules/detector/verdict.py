"""What is said of a text that somebody wants judged. Shape legend: N = texts, C = classes."""

from typing import Any

from torch import Tensor

from modules.detector.calibration import Calibration

FEW_WORDS = 20
"""Below that many words a text says little."""


class Verdict:
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
        `false_positive_rate`, a share of `num_human` texts of validation. A text that cannot be
        judged gets no label but the reason, as `problem`.
        """
        record: dict[str, Any] = {"place": batch["place_N"][index]}
        if problem := batch["problem_N"][index]:
            return record | {"label": None, "problem": problem}
        p_C = self.at.calibrated(logits_C).softmax(0)
        record |= self._binary(p_C) if len(self.classes) == 2 else self._among(p_C)
        record["words"] = len(batch["text_N"][index].split())
        record["windows"] = batch["windows_N"][index]
        note = self._note(record["words"], batch["density_N"][index])
        return record | ({"note": note} if note else {})

    def _binary(self, p_C: Tensor) -> dict[str, Any]:
        p, at = p_C[1].item(), self.at
        is_known = at.num_negative > 0
        return {
            "label": self.classes[int(p >= at.threshold)],
            f"p_{self.classes[1]}": p,
            "threshold": at.threshold,
            "false_positive_rate": at.false_positive_rate if is_known else None,
            f"num_{self.classes[0]}": at.num_negative,
        }

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
