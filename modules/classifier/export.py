"""A trained classifier as a folder that transformers opens."""

from pathlib import Path
from typing import Any

from torch import Tensor

from engine.disk.tensors import SHARD_SIZE
from modules.base.system import System
from modules.base.tokenized import Tokenized
from modules.classifier.calibration import Calibration
from modules.classifier.network import ClassifierNetwork

CODE = """from transformers import pipeline

classify = pipeline("text-classification", model="this_folder")
print(classify("A text to classify.", truncation=True))"""
"""How others open an exported folder."""
CALIBRATED = (
    "Opened in its own repository, as below, it has the threshold of its validation as well "
    "(`model.calibration`)."
)


class ExportedClassifier(Tokenized, System):
    """What a classifier can do with folders; a subclass trains it.

    Attributes:
        classes: Names of the classes by index.
        calibration: Of the last validation.
    """

    classes: list[str]
    calibration: Calibration

    @property
    def classifier(self) -> ClassifierNetwork:
        """The network, once built."""
        assert isinstance(self.network, ClassifierNetwork)
        return self.network

    def export(self, folder: Path, max_shard_size: str = SHARD_SIZE) -> None:
        """Write a Hugging Face folder with weights, config and tokenizer."""
        self.classifier.export(folder, self.tokenizer, self.classes, max_shard_size)

    def reopened(self, at: str, only_trained: bool) -> dict[str, Any]:
        """Options of this system when its network is that of an exported folder."""
        kind = "modules.classifier.network.Pretrained"
        labels = {name: name for name in self.classes}
        network = {"class_path": kind, "init_args": {"source": at, "labels": labels}}
        return {"tokenizer": at, "network": network}

    def opens_with(self, only_trained: bool) -> dict[str, str]:
        """How others open an exported folder, and what calibration adds to it."""
        found = self.calibration
        note = "It was never calibrated: no validation has been run."
        if found.num_negative:
            note = (
                f"Probabilities are calibrated by dividing the logits by {found.temperature:.4g}. "
                f"{CALIBRATED}"
            )
        return {
            "library_name": "transformers",
            "pipeline_tag": "text-classification",
            "note": f"Classes: {', '.join(self.classes)}. {note}",
            "code": CODE,
        }

    def outputs(self) -> Tensor:
        """Logits of a few windows, as in training."""
        return self.classifier.probe_logits()

    def outputs_of(self, folder: Path) -> Tensor:
        """The same of an exported folder, as others load it."""
        return self.classifier.probe_logits_of(folder)
