"""Influence with an eigenvalue-corrected Kronecker-factored curvature (Grosse et al., 2023).

By kronfluence, which is not a dependency: `uv pip install kronfluence`; without it there is none.
"""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from importlib import import_module
from importlib.util import find_spec
from tempfile import TemporaryDirectory
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from datamodules.in_context.pool import DocumentPool
from datamodules.questions.source import Question
from modules.causal_lm.loss import IGNORE
from modules.causal_lm.network import LanguageModel
from modules.icl.label_rows import label_rows

AT_ONCE = 40
"""Documents, and questions, of a batch."""
Row = dict[str, Tensor]


def by_ekfac(
    model: LanguageModel, tokenizer: Any, pool: DocumentPool, task: Sequence[Question], seed: int
) -> dict[str, list[float]]:
    """Influence of each document on the loss of the task, as "EK-FAC"; nothing without the library.

    Matrices count, but for the table of tokens, which is the head as well. Damping is a tenth of
    the mean eigenvalue; labels of the Fisher matrix are sampled.
    """
    if find_spec("kronfluence") is None:
        return {}
    kronfluence, arguments = (
        import_module(f"kronfluence.{name}") for name in ("analyzer", "arguments")
    )
    torch.manual_seed(seed)
    counted = task_of(model)
    own = kronfluence.prepare_model(deepcopy(model), counted)
    with TemporaryDirectory() as folder:
        analyzer = kronfluence.Analyzer(
            "ekfac", own, counted, cpu=True, disable_tqdm=True, output_dir=folder
        )
        documents = document_rows(pool)
        analyzer.fit_all_factors("factors", documents, per_device_batch_size=AT_ONCE)
        analyzer.compute_pairwise_scores(
            "scores",
            "factors",
            question_rows(tokenizer, task),
            documents,
            per_device_query_batch_size=AT_ONCE,
            per_device_train_batch_size=AT_ONCE,
            score_args=arguments.ScoreArguments(damping_factor=None),
        )
        found: Mapping[str, Tensor] = analyzer.load_pairwise_scores("scores")
    return {"EK-FAC": found["all_modules"].double().sum(0).tolist()}


def document_rows(pool: DocumentPool) -> list[Row]:
    """Each document alone; documents of a pool of patterns are equally long."""
    batches: list[Any] = [pool.batch([[n]]) for n in range(len(pool.ids))]
    return [{"token": one["token_BL"][0], "label": one["label_BL"][0]} for one in batches]


def question_rows(tokenizer: Any, task: Sequence[Question]) -> list[Row]:
    """Each question with its right word, padded to the longest."""
    words = [one.choices[one.answer] for one in task]
    made = label_rows(tokenizer, [one.fields["prompt"] for one in task], words)
    pairs = zip(made["token_BL"], made["label_BL"], strict=True)
    return [{"token": token, "label": label} for token, label in pairs]


def task_of(model: LanguageModel) -> Any:
    """What kronfluence has to know: the loss, and which matrices count."""
    head = model.model.get_output_embeddings()
    linear = [name for name, one in model.named_modules() if isinstance(one, nn.Linear)]
    chosen = [name for name in linear if model.get_submodule(name) is not head]

    class Losses(import_module("kronfluence.task").Task):  # type: ignore[misc]
        """Sums of the losses of rows."""

        def compute_train_loss(self, batch: Row, model: Any, sample: bool = False) -> Tensor:
            """Of the documents, or of tokens that the model itself draws in their place."""
            logits_TV, label_T = read(model, batch), batch["label"].flatten()
            if sample:
                drawn_T = torch.multinomial(logits_TV.detach().softmax(-1), 1)[:, 0]
                label_T = drawn_T.where(label_T != IGNORE, IGNORE)
            return F.cross_entropy(logits_TV, label_T, ignore_index=IGNORE, reduction="sum")

        def compute_measurement(self, batch: Row, model: Any) -> Tensor:
            """Of the questions."""
            return self.compute_train_loss(batch, model)

        def get_influence_tracked_modules(self) -> list[str]:
            """Names of the matrices."""
            return chosen

    return Losses()


def read(model: Any, batch: Row) -> Tensor:
    """Logits of rows; no token sees the padding behind it."""
    token_BL = batch["token"]
    B, L = token_BL.shape
    logits_BLV: Tensor = model(token_BL, torch.arange(L).expand(B, L), [L] * B)
    return logits_BLV.flatten(0, 1)
