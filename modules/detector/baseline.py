"""A detector without training as a Lightning system, for the same tests and verdicts as others."""

from collections.abc import Callable, Iterable
from typing import Literal, Protocol, cast

import torch
from torch import Tensor, nn
from typing_extensions import override

from modules.classifier.evaluate import EvaluatedBatches
from modules.classifier.system import EvaluatedClassifier, TextBatch
from modules.detector.method import DetectionMethod


class LabelledTexts(Protocol):
    """Data of texts with classes."""

    def labelled_texts(self, stage: Literal["train"]) -> tuple[list[str], list[int]]:
        """All texts of a stage, and the number of the class of each."""

    def val_dataloader(self) -> Iterable[TextBatch]:
        """Every validation text once."""


class Baseline(EvaluatedClassifier):
    """A method that `test` and `predict` prepare by themselves: there is nothing to fit before.

    Where it learns, it learns from the training texts; its scores become probabilities by a
    logistic regression on the validation texts, which decide the threshold as well.

    Args:
        method: Builds the method.
        classes: Names of the two classes; the second is the positive one.
        target_fpr: False-positive rate of the threshold that validation decides.

    Raises:
        ValueError: There are not two classes.
    """

    no_export = "`test` and `predict` prepare it anew, nothing of it is kept"

    def __init__(
        self,
        method: Callable[[], DetectionMethod],
        classes: list[str] = ["human", "machine"],  # noqa: B006 - never changed
        target_fpr: float = 0.01,
    ):
        super().__init__()
        self.save_hyperparameters()
        self.make_method = method
        self.classes = list(classes)
        self.target_fpr = target_fpr
        self.check_classes()
        if len(self.classes) > 2:
            raise ValueError(f"a baseline has two classes, got {len(self.classes)}")

    @override
    def build(self) -> nn.Module:
        return self.make_method()

    @property
    def method(self) -> DetectionMethod:
        """The method, once built."""
        assert isinstance(self.network, DetectionMethod)
        return self.network

    def on_test_start(self) -> None:
        """Fit and calibrate."""
        self.prepare(cast(LabelledTexts, self.trainer.datamodule))  # type: ignore[attr-defined]

    on_predict_start = on_test_start

    def prepare(self, data: LabelledTexts) -> None:
        """Fit on the training texts, and calibrate on the validation texts."""
        if self.method.learns:
            self.method.learn(*data.labelled_texts("train"))
        evaluated = EvaluatedBatches.empty()
        for batch in data.val_dataloader():
            if batch["num_targets"]:
                evaluated.add(self.logits(batch), batch)
        self.calibration = self.calibrated(evaluated.whole())

    @override
    def logits(self, batch: TextBatch) -> Tensor:
        score_N = torch.full((batch["num_targets"],), torch.nan, dtype=torch.float64)
        good = [i for i, problem in enumerate(batch["problem_N"]) if not problem]
        if good:
            score_N[good] = self.method.scores([batch["text_N"][i] for i in good])
        return as_logits(score_N)


def as_logits(score_N: Tensor) -> Tensor:
    """Logits of two classes whose difference is the score, [N, 2]."""
    return torch.stack([torch.zeros_like(score_N), score_N], dim=1)
