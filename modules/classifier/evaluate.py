"""Evaluation of a classifier. Shape legend: N = texts, C = classes."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from modules.classifier.calibration import votes
from modules.classifier.finite import check_finite, refuse, unsound
from modules.metrics.image.frechet_metric import over_ranks

PLAIN = "none"
"""The attack column of a text that is not attacked."""
COLUMNS = ("pair_id", "generator", "paired_generator", "domain", "attack")
"""Columns that are kept with the scores of a text."""


@dataclass
class EvaluatedBatches:
    """Texts of an evaluation and the logits of a classifier, batch after batch.

    Attributes:
        logits: Logits of each batch, [N, C].
        label: Classes of each batch, [N].
        row: Index of each text in the data.
        origin: File and row of each.
        density: Tokens per byte of each text.
        columns: The other columns (`COLUMNS`) by name.
    """

    logits: list[Tensor]
    label: list[Tensor]
    row: list[int]
    origin: list[str]
    density: list[float]
    columns: dict[str, list[str]]

    @staticmethod
    def empty() -> "EvaluatedBatches":
        """Without any text."""
        return EvaluatedBatches([], [], [], [], [], {name: [] for name in COLUMNS})

    def add(self, logits_NC: Tensor, batch: Any) -> None:
        """Add a batch, without synchronising with the device."""
        self.logits.append(logits_NC)
        self.label.append(batch["label_N"])
        self.row += batch["row_N"]
        self.origin += batch.get("origin_N", [f"text {row}" for row in batch["row_N"]])
        self.density += batch["density_N"]
        for name, values in self.columns.items():
            values += batch[f"{name}_N"]

    def whole(self) -> "EvaluatedTexts":
        """All texts of all ranks, in the order of the data.

        Raises:
            ValueError: There are no texts, or a score is not finite; names the texts.
        """
        logits = torch.cat(self.logits).double().cpu() if self.logits else torch.zeros(0, 0)
        label = torch.cat(self.label).cpu() if self.label else torch.zeros(0, dtype=torch.long)
        bad = [self.origin[i] for i in unsound(torch.isfinite(logits).all(1))]
        parts = over_ranks([(logits, label, self.row, self.density, self.columns, bad)])
        filled = [part for part in parts if len(part[0])]
        if not filled:
            raise ValueError("there was no text to evaluate")
        num = sum(len(part[0]) for part in filled)
        refuse([origin for part in filled for origin in part[5]], num)
        columns = {name: [one for part in filled for one in part[4][name]] for name in COLUMNS}
        row = torch.tensor([one for part in filled for one in part[2]])
        logits, label = (torch.cat([part[i] for part in filled]) for i in (0, 1))
        density = torch.tensor([one for part in filled for one in part[3]]).double()
        return EvaluatedTexts(logits, label, row, density, columns).ordered()


@dataclass(frozen=True)
class EvaluatedTexts:
    """All texts of an evaluation.

    Attributes:
        logits_NC: Logits of the classifier, float64, on the CPU.
        label_N: Index of the class of each.
        row_N: Index of each text in the data.
        density_N: Tokens per byte of each.
        columns: The other columns (`COLUMNS`) by name.
    """

    logits_NC: Tensor
    label_N: Tensor
    row_N: Tensor
    density_N: Tensor
    columns: dict[str, list[str]]

    @property
    def num_negative(self) -> int:
        """Different texts of the first class; those of one pair are cuts of the same text."""
        pairs = zip(self.columns["pair_id"], self.label_N.tolist(), strict=True)
        return len({pair for pair, label in pairs if label == 0})

    @property
    def attacks(self) -> list[str]:
        """Names of the attacks, `none` first."""
        return sorted(set(self.columns["attack"]), key=lambda name: (name != PLAIN, name))

    def at(self, chosen: Sequence[int]) -> "EvaluatedTexts":
        """The texts at these positions."""
        index = torch.tensor(chosen, dtype=torch.long)
        columns = {name: [values[i] for i in chosen] for name, values in self.columns.items()}
        logits, label = self.logits_NC[index], self.label_N[index]
        return EvaluatedTexts(logits, label, self.row_N[index], self.density_N[index], columns)

    def ordered(self) -> "EvaluatedTexts":
        """The texts in the order of the data, unattacked before attacked ones."""
        attack, row = self.columns["attack"], self.row_N.tolist()
        by = [(attack[i] != PLAIN, attack[i], row[i]) for i in range(len(row))]
        return self.at(sorted(range(len(row)), key=by.__getitem__))

    def under(self, attack: str) -> "EvaluatedTexts":
        """The texts under an attack: attacked ones, and those that the attack leaves unchanged.

        An attacked text keeps its index and replaces the unattacked one. Attacked texts of a table
        have indices of their own; there, the unattacked texts of all other classes are added.
        """
        attacks, row, label = self.columns["attack"], self.row_N.tolist(), self.label_N.tolist()
        own = [i for i, name in enumerate(attacks) if name == attack]
        plain = [i for i, name in enumerate(attacks) if name == PLAIN and attack != PLAIN]
        changed, classes = {row[i] for i in own}, {label[i] for i in own}
        if changed & {row[i] for i in plain}:
            same = [i for i in plain if row[i] not in changed]
        else:
            same = [i for i in plain if label[i] not in classes]
        found = self.at([*own, *same])
        columns = found.columns | {"attack": [attack] * len(found.row_N)}
        return replace(found, columns=columns).ordered()


def evaluate(logits_NC: Tensor, label_N: Tensor, false_positive_rate: float) -> dict[str, float]:
    """Loss in nats, accuracy, AUROC and F1; of two classes also the TPR at a low FPR.

    With two classes the second is the positive one; with more, F1 and AUROC are means over the
    classes, each against the rest. All are computed by torchmetrics but the loss.

    Args:
        logits_NC: Calibrated logits.
        label_N: Class of each text.
        false_positive_rate: False-positive rate at which the true-positive rate is reported, as
            `tpr_at_1_fpr` for 0.01: the largest at any threshold within that rate.

    Returns:
        The metrics by name.

    Raises:
        ValueError: A logit is not finite.
    """
    check_finite(logits_NC)
    loss = F.cross_entropy(logits_NC, label_N).item()
    if logits_NC.shape[1] == 2:
        odds_N = logits_NC[:, 1] - logits_NC[:, 0]
        found = binary_measures(odds_N, label_N, false_positive_rate)
    else:
        found = multiclass_measures(logits_NC, label_N)
    return {"loss": loss, **found}


def binary_measures(
    odds_N: Tensor, label_N: Tensor, false_positive_rate: float
) -> dict[str, float]:
    """Accuracy and F1 at even odds, AUROC, and the TPR at a low FPR.

    Args:
        odds_N: Log-odds of the positive class.
        label_N: 1 where positive, else 0.
        false_positive_rate: That FPR.
    """
    from torchmetrics.functional import classification as of

    check_finite(odds_N)
    called_N, rank_N = (odds_N >= 0).long(), ranks(odds_N)
    most, _ = of.binary_sensitivity_at_specificity(rank_N, label_N, 1 - false_positive_rate)
    return {
        "accuracy": of.binary_accuracy(called_N, label_N).item(),
        "auroc": of.binary_auroc(rank_N, label_N).item(),
        "f1": of.binary_f1_score(called_N, label_N).item(),
        f"tpr_at_{100 * false_positive_rate:g}_fpr": float(most),
    }


def at_threshold(called_N: Tensor, texts: EvaluatedTexts) -> dict[str, float]:
    """FPR and TPR of these texts at the threshold that validation fixed.

    Args:
        called_N: Which texts are called positive.
        texts: The texts, of two classes.

    Returns:
        `fpr_at_threshold`, the share of the different texts of the first class that are called
        positive, where all cuts of one text sum to 1; `tpr_at_threshold`, that of the second class.
        NaN without such texts.
    """
    negative_N, pairs = texts.label_N == 0, texts.columns["pair_id"]
    vote_N = votes([pairs[i] for i in negative_N.nonzero()[:, 0].tolist()])
    alarms = (vote_N * called_N[negative_N]).sum() / vote_N.sum()
    hits = called_N[~negative_N].double().mean()
    return {"fpr_at_threshold": alarms.item(), "tpr_at_threshold": hits.item()}


def ranks(score_N: Tensor) -> Tensor:
    """Normalised ranks of the scores in [0, 1], equal for equal scores, float64.

    Far from zero, probabilities of different scores round to the same number; ranks do not.
    """
    levels, rank_N = torch.unique(score_N.double(), return_inverse=True)
    return rank_N.double() / max(1, len(levels) - 1)


def multiclass_measures(logits_NC: Tensor, label_N: Tensor) -> dict[str, float]:
    """Accuracy over texts; F1 and AUROC over classes."""
    from torchmetrics.functional import classification as of

    num = logits_NC.shape[1]
    rank_NC = torch.stack([ranks(one_N) for one_N in against_rest(logits_NC).unbind(1)], dim=1)
    return {
        "accuracy": of.multiclass_accuracy(logits_NC, label_N, num, average="micro").item(),
        "auroc": of.multiclass_auroc(rank_NC, label_N, num).item(),
        "f1": of.multiclass_f1_score(logits_NC, label_N, num, average="macro").item(),
    }


def against_rest(logits_NC: Tensor) -> Tensor:
    """Log-odds of each class against all others, [N, C]."""
    own_CC = torch.eye(logits_NC.shape[1], dtype=torch.bool)
    others_NCC = logits_NC[:, None, :].masked_fill(own_CC, -torch.inf)
    return logits_NC - others_NCC.logsumexp(2)
