"""Scores of all documents of a pool, in one pass that may be stopped and goes on from there.

Scores are written as they come, a Parquet file for some batches. Of the files that are missing when
a pass begins, rank r of W writes number r, r + W, r + 2W, ...: as many as any other rank, whichever
ranks wrote those that are there. All ranks read all files in the end, so the folder has to be one
that they share.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from engine.disk.bar import watched
from engine.disk.whole import whole
from modules.base.rank_share import RankShare
from modules.causal_lm.loss import IGNORE
from modules.causal_lm.network import LanguageModel
from modules.icl.gradients.documents import DocumentTable
from modules.icl.gradients.similarity import (
    Directions,
    TokenProducts,
    similarities,
    token_products,
)
from modules.icl.selection.pool import CandidatePool, PoolBatch

Columns = dict[str, list[Any]]
"""Values by name, all of the same length."""


@dataclass(frozen=True)
class PoolPass:
    """One pass over a pool.

    Attributes:
        pool: The documents.
        rows: Indices of the documents of each row; all documents once.
        rows_per_batch: Rows that are read at once.
        save_every: Batches of a file.
        share: Which of the missing files this rank writes.
    """

    pool: CandidatePool
    rows: Sequence[list[int]]
    rows_per_batch: int
    save_every: int
    share: RankShare = RankShare()  # noqa: RUF009 - frozen

    def run(
        self,
        score: Callable[[PoolBatch], Columns],
        folder: Path,
        text: str,
        wait: Callable[[], object] = lambda: None,
    ) -> None:
        """Score what has no file yet.

        Args:
            score: Columns of a batch, a row a document, with its index as `document`.
            folder: Where the files go.
            text: What is done, for the bar.
            wait: Returns when all ranks have called it.
        """
        missing = self.missing(folder)
        wait()  # all have seen the same files before one writes more
        own = missing[self.share.rank :: self.share.world]
        parts = list(self.parts())
        total = sum(len(parts[one]) for one in own)
        bar = iter(watched(iter(range(total)), " batches", text, total))
        for one in own:
            columns: Columns = {}
            for rows in parts[one]:
                next(bar)
                for name, values in score(self.pool.batch(rows)).items():
                    columns.setdefault(name, []).extend(values)
            write_table(columns, self.file(folder, one))
        wait()

    def missing(self, folder: Path) -> list[int]:
        """Numbers of the parts that have no file."""
        return [n for n, _ in enumerate(self.parts()) if not self.file(folder, n).exists()]

    def parts(self) -> Iterator[list[Sequence[list[int]]]]:
        """The batches of each file."""
        size = self.rows_per_batch
        batches = [self.rows[i : i + size] for i in range(0, len(self.rows), size)]
        for start in range(0, len(batches), self.save_every):
            yield batches[start : start + self.save_every]

    def file(self, folder: Path, part: int) -> Path:
        """The file of some batches, the same on any number of ranks."""
        return folder / f"part_{part:06d}.parquet"

    def read(self, folder: Path, reading: Callable[[Columns], Columns] = dict) -> Columns:
        """The columns of all files, in the order of the documents.

        Args:
            folder: Where the files are.
            reading: What is kept of a file.
        """
        tables = [reading(read_table(self.file(folder, n))) for n, _ in enumerate(self.parts())]
        columns = {name: list(chain(*(one[name] for one in tables))) for name in tables[0]}
        order = sorted(range(len(columns["document"])), key=columns["document"].__getitem__)
        return {name: [values[i] for i in order] for name, values in columns.items()}


class GradientScores:
    """Products of the documents' loss gradients with a task's, and, if wanted, their norms.

    Args:
        language_model: The model, in evaluation mode.
        direction: The task's gradient in the parameters that count.
        with_norms: Whether norms are computed as well; they stay the same in later iterations.
    """

    def __init__(
        self, language_model: LanguageModel, direction: dict[str, Tensor], with_norms: bool
    ):
        self.language_model = language_model
        self.directions = Directions.of([direction])
        self.with_norms = with_norms

    def __call__(self, batch: PoolBatch) -> Columns:
        """Scores of the documents of a batch; paddings are left out."""
        B, L = batch["token_BL"].shape
        table = DocumentTable(B, L, batch["length_N"])
        nats_T: list[Tensor] = []

        def loss() -> Tensor:
            losses = token_losses(self.language_model, batch)
            nats_T.append(losses.detach().double())
            return losses.sum()

        found: TokenProducts
        columns: dict[str, Tensor] = {}
        if self.with_norms:
            both = similarities(self.language_model, loss, table, self.directions)
            found, columns["norm"] = both.products, both.square_N.double().sqrt()
        else:
            found = token_products(self.language_model, loss, table, self.directions)
        columns["product"] = found.product_NQ[:, 0].double()
        if self.with_norms:
            targets_T = (batch["label_BL"] != IGNORE).flatten()
            targets_N = table.sums(targets_T[:, None].double())[:, 0]
            columns["targets"] = targets_N
            columns["loss"] = table.sums(nats_T[0].cpu()[:, None])[:, 0] / targets_N
        return without_padding(batch["document_N"], columns)


def token_losses(language_model: LanguageModel, batch: PoolBatch) -> Tensor:
    """Loss of the token that follows each position, [B * L], 0 where none is to be predicted."""
    device = language_model.model.device
    token_BL, position_BL = batch["token_BL"].to(device), batch["position_BL"].to(device)
    logits_BLV = language_model(token_BL, position_BL, batch["length_N"])
    logits_TV, label_T = logits_BLV.flatten(0, 1), batch["label_BL"].to(device).flatten()
    exact = torch.promote_types(logits_TV.dtype, torch.float32)
    return torch.nn.functional.cross_entropy(
        logits_TV.to(exact), label_T, ignore_index=IGNORE, reduction="none"
    )


def without_padding(document_N: Sequence[int], columns: dict[str, Tensor]) -> Columns:
    """Columns of the real documents, as plain numbers."""
    real = [n for n, one in enumerate(document_N) if one >= 0]
    kept: Columns = {"document": [document_N[n] for n in real]}
    return kept | {name: column.cpu()[real].tolist() for name, column in columns.items()}


def write_table(columns: Columns, path: Path) -> None:
    """Write a Parquet file, all or nothing."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    path.parent.mkdir(parents=True, exist_ok=True)
    with whole(path) as draft:
        pq.write_table(pa.table(columns), draft)


def read_table(path: Path) -> Columns:
    """The columns of a Parquet file."""
    import pyarrow.parquet as pq

    columns: Columns = pq.read_table(path).to_pydict()
    return columns
