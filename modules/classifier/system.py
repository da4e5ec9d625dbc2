"""Text classification as a Lightning system: loss, calibration, evaluation, predictions."""

from abc import abstractmethod
from collections.abc import Collection
from dataclasses import asdict, replace
from typing import Any, TypedDict

import torch
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable
from lightning.pytorch.utilities.rank_zero import rank_zero_warn
from torch import Tensor
from typing_extensions import override

from modules.base.system import System, constant
from modules.causal_lm.tokens.same_tokens import check_own_tokens
from modules.causal_lm.tokens.vocabulary import vocabulary_size
from modules.classifier.calibration import Calibration, densities
from modules.classifier.evaluate import (
    COLUMNS,
    PLAIN,
    EvaluatedBatches,
    EvaluatedTexts,
    at_threshold,
    evaluate,
)
from modules.classifier.export import ExportedClassifier
from modules.classifier.loss import classification_loss, text_logits
from modules.classifier.network import ClassifierNetwork
from modules.classifier.record import PredictionRecord
from modules.nn.builder import Builder


class TextBatch(TypedDict):
    """Labelled texts: the batch of a classifier.

    N = texts, W = windows of all of them, L = tokens of the longest window. Outside training a
    batch may have fewer texts than batch_size, or none.

    Attributes:
        token_WL: Token ids of windows, int64, each with start and end, padded on the right.
        mask_WL: True where a token is real.
        windows_N: Windows of each text, in order; they sum to W. One each in training.
        label_N: Index of the class, int64; -100 if unknown. With two classes, 1 is the positive
            one, such as machine.
        num_targets: N.
        step_targets: The same over all micro-batches of the optimizer step, on this rank.
        row_N: Index of each text in the data.
        text_N: The texts.
        problem_N: Why a text cannot be classified; else empty. Such a text has no window.
        density_N: Tokens per byte of each text.
        pair_id_N: Group of each text: of machine texts, the human text that it continues.
        generator_N: Who wrote it; `human` for a person.
        paired_generator_N: Generator to whose pair it belongs; empty if none.
        domain_N: Its domain.
        attack_N: Name of the attack; `none` without one.
        origin_N: File and row.
    """

    token_WL: Tensor
    mask_WL: Tensor
    windows_N: list[int]
    label_N: Tensor
    num_targets: int
    step_targets: int
    row_N: list[int]
    text_N: list[str]
    problem_N: list[str]
    density_N: list[float]
    pair_id_N: list[str]
    generator_N: list[str]
    paired_generator_N: list[str]
    domain_N: list[str]
    attack_N: list[str]
    origin_N: list[str]


class EvaluatedClassifier(System):
    """Evaluation, calibration on validation texts and prediction records of any classifier.

    A subclass computes the `logits` of a batch.
    """

    classes: list[str]
    target_fpr: float
    calibration = Calibration()
    learns_in_validation = True

    def check_classes(self) -> None:
        """Refuse fewer than two classes, and a rate outside (0, 1)."""
        if len(set(self.classes)) < 2:
            raise ValueError(f"classes must be at least two, got {', '.join(self.classes)}")
        if not 0 < self.target_fpr < 1:
            raise ValueError(f"target_fpr must lie in (0, 1), got {self.target_fpr}")

    @abstractmethod
    def logits(self, batch: TextBatch) -> Tensor:
        """Logits of the texts, [N, C]; NaN for texts that cannot be classified."""

    # Evaluation

    @override
    def validated(self) -> Collection[str]:
        num = len(self.classes)
        given = evaluate(torch.eye(num), torch.arange(num), self.target_fpr)
        more = ["calibrated_loss", "calibrated_accuracy", "num_human", "temperature"]
        return [f"validate/{name}" for name in (*given, *more)]

    def on_validation_epoch_start(self) -> None:
        """Start without texts."""
        self.evaluated = EvaluatedBatches.empty()

    def validation_step(self, batch: TextBatch, batch_idx: int) -> None:
        """Collect the logits of the texts."""
        if batch["num_targets"]:
            self.evaluated.add(self.logits(batch), batch)

    def on_validation_epoch_end(self) -> None:
        """Calibrate on the texts of all ranks, and log their metrics."""
        texts = self.evaluated.whole()
        self.calibration = self.calibrated(texts)
        row = evaluate(texts.logits_NC, texts.label_N, self.target_fpr)
        calibrated = self._metrics(texts)
        row |= {f"calibrated_{name}": calibrated[name] for name in ("loss", "accuracy")}
        row |= self._human(texts)
        row["temperature"] = self.calibration.temperature
        self.report({f"validate/{name}": value for name, value in row.items()})

    on_test_epoch_start = on_validation_epoch_start
    test_step = validation_step

    def on_test_epoch_end(self) -> None:
        """Log the metrics over all ranks, without and under each attack."""
        self.tested = self.evaluated.whole()
        row: dict[str, float] = {}
        for attack in self.tested.attacks:
            under = "" if attack == PLAIN else f"{attack}/"
            found = self._metrics(self.tested.under(attack))
            row |= {f"test/{under}{name}": value for name, value in found.items()}
        self.report(row)

    def _metrics(self, texts: EvaluatedTexts) -> dict[str, float]:
        logits = self.calibration.calibrated(texts.logits_NC)
        row = evaluate(logits, texts.label_N, self.target_fpr) | self._human(texts)
        if self.calibration.num_negative:
            row |= at_threshold(self.calibration.calls(texts.logits_NC), texts)
        return row

    def _human(self, texts: EvaluatedTexts) -> dict[str, float]:
        """Number of texts of the negative class, which a false-positive rate is of."""
        return {"num_human": float(texts.num_negative)} if len(self.classes) == 2 else {}

    def calibrated(self, texts: EvaluatedTexts) -> Calibration:
        """Calibration fitted on these texts."""
        whose = texts.columns["pair_id"]
        found = Calibration.of(texts.logits_NC, texts.label_N, self.target_fpr, whose)
        low, high = densities(texts.density_N)
        return replace(found, step=self.global_step, least_density=low, most_density=high)

    # Scores

    def scores(self) -> dict[str, list[Any]]:
        """Scores of each text of the last test under each attack, by column.

        `id`, `pair_id`, `generator`, `paired_generator`, `domain`, `attack`, `label`; of two
        classes `score` (log-odds before calibration) and `p_<positive class>`, of more a
        `p_<class>` for each.
        """
        columns = [self._columns(self.tested.under(name)) for name in self.tested.attacks]
        return {name: [one for part in columns for one in part[name]] for name in columns[0]}

    def _columns(self, texts: EvaluatedTexts) -> dict[str, list[Any]]:
        columns: dict[str, list[Any]] = {"id": texts.row_N.tolist()}
        columns |= {name: texts.columns[name] for name in COLUMNS}
        columns["label"] = texts.label_N.tolist()
        p_NC = self.calibration.calibrated(texts.logits_NC).softmax(1)
        if len(self.classes) == 2:
            columns["score"] = (texts.logits_NC[:, 1] - texts.logits_NC[:, 0]).tolist()
            return columns | {f"p_{self.classes[1]}": p_NC[:, 1].tolist()}
        return columns | {f"p_{c}": p_NC[:, i].tolist() for i, c in enumerate(self.classes)}

    # Predictions

    def predict_step(self, batch: TextBatch, batch_idx: int) -> list[dict[str, Any]]:
        """A record of each text (`PredictionRecord`)."""
        if not batch["num_targets"]:
            return []
        logits_NC = self.logits(batch).double().cpu()
        record = PredictionRecord(self.classes, self.calibration)
        return [record(logits_NC[i], batch, i) for i in range(batch["num_targets"])]

    # Checkpoints

    @override
    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_save_checkpoint(checkpoint)
        checkpoint["calibration"] = asdict(self.calibration)

    @override
    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_load_checkpoint(checkpoint)
        self.calibration = Calibration(**checkpoint.get("calibration", {}))
        is_fit = self._trainer is not None and self.trainer.state.fn == "fit"
        if self.calibration.step != checkpoint["global_step"] and not is_fit:
            rank_zero_warn(
                f"{self.checkpoint_name()} was calibrated at step {self.calibration.step}, but its "
                f"weights are of step {checkpoint['global_step']}: it was written before the "
                "validation of that step, or there was none"
            )


class TextClassifier(ExportedClassifier, EvaluatedClassifier):
    """Train an encoder to classify texts, such as human and machine, or stances.

    Args:
        network: Builds the encoder from the size of the tokenizer, the id of its padding and the
            names of the classes; called once, under the strategy's own context.
        tokenizer: Local folder or hub id; the same as the data's.
        classes: Names of the classes by index; the second of two is the positive one.
        class_weights: Weight of an error on each class; 1 if None.
        target_fpr: False-positive rate at which validation sets the threshold.
        optimizer: Builds the optimizer from the trainable parameters.
        scheduler: Builds the learning-rate schedule from that optimizer.
        compile: Whether to compile the network with torch.compile.

    Raises:
        ValueError: There are fewer than two classes, or not one weight a class.
    """

    def __init__(
        self,
        network: Builder[[int, int, list[str]], ClassifierNetwork],
        tokenizer: str,
        classes: list[str] = ["human", "machine"],  # noqa: B006 - never changed
        class_weights: list[float] | None = None,
        target_fpr: float = 0.01,
        optimizer: OptimizerCallable = torch.optim.AdamW,
        scheduler: LRSchedulerCallable = constant,
        compile: bool = False,
    ):
        super().__init__(optimizer, scheduler, compile)
        self.save_hyperparameters()
        self.make_network = network
        self.tokenizer_source = tokenizer
        self.classes = list(classes)
        self.target_fpr = target_fpr
        self.check_classes()
        if class_weights is not None and len(class_weights) != len(self.classes):
            raise ValueError(
                f"class_weights must be one a class: {len(class_weights)} weights, "
                f"{len(self.classes)} classes"
            )
        self.class_weights = class_weights
        self.meter.unit = "texts"

    @override
    def build(self) -> ClassifierNetwork:
        known = self.tokenizer
        pad = known.eos_token_id if known.pad_token_id is None else known.pad_token_id
        network = self.make_network(vocabulary_size(known), int(pad), list(self.classes))
        check_own_tokens(known, network)
        return network

    @override
    def logits(self, batch: TextBatch) -> Tensor:
        if not len(batch["token_WL"]):
            return torch.full((batch["num_targets"], len(self.classes)), torch.nan)
        logits_WC = self.classifier(batch["token_WL"], batch["mask_WL"])
        return text_logits(logits_WC, batch["windows_N"])

    def training_step(self, batch: TextBatch, batch_idx: int) -> Tensor:
        """Cross-entropy of the classes, averaged over the texts of the whole step."""
        num, logits = batch["num_targets"], self.logits(batch)
        weights = self.class_weights
        weight = None if weights is None else torch.tensor(weights, device=self.device)
        total = classification_loss(logits, batch["label_N"], weight)
        self.meter.add("loss", total, num)
        right = logits.argmax(1) == batch["label_N"]
        self.meter.add("accuracy", right.sum(), num)
        self.meter.num_targets += num
        return self.step_mean(total, batch["step_targets"])
