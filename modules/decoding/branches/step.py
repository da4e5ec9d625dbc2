"""One continuation for all branches: the rows of every model, step by step, and their sum.

Shape legend: B = questions, S = sequences (questions times beams or samples), N = tokens,
V = tokens of the first branch's vocabulary.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import groupby
from typing import Any

import torch
from torch import Tensor

from modules.causal_lm.architecture.weight_layout import column_major, is_faster
from modules.causal_lm.tokens.padding import Ids
from modules.decoding.branches.branches import Branches
from modules.decoding.branches.rows import BranchRows, CacheKind, rows_of
from modules.decoding.branches.vocabulary import Alignment
from modules.decoding.starts import start_id


class Ensemble:
    """The branches of B questions and the state of their caches.

    Branches that share a model are one batch of it; every prompt is read once, however many
    sequences continue it.

    Args:
        branches: Models and weights.
        prompts: Token ids, by branch and question.
        num_new: Maximum tokens that may follow.
        cache: Whether caches grow or have a fixed size.

    Raises:
        ValueError: The prompts do not fit the branches or a model.
    """

    def __init__(
        self,
        branches: Branches,
        prompts: Sequence[Sequence[Ids]],
        num_new: int,
        cache: CacheKind = "dynamic",
    ):
        check_prompts(branches, prompts)
        self.branches = branches
        self.num_new = num_new
        self.layouts: ExitStack | None = None
        self.num_questions = len(prompts[0])
        models = [one.model for one in branches.branches]
        self.members = by_model(models)
        self.rows: list[BranchRows] = [
            rows_of(models[which[0]], [ids for k in which for ids in prompts[k]], num_new, cache)
            for which in self.members
        ]
        self.alignments = alignments_of(branches)
        self.num_read = 0

    @torch.no_grad()
    def logits(self, token_SN: Tensor) -> Tensor:
        """Combined logits [S, V] of the token after these, float32.

        Args:
            token_SN: Tokens of the first branch so far: for causal models its prompts, padded on
                the left, and their continuations; for others the decoder's start and continuation.
                Sequences of a question are adjacent.
        """
        new_SN = token_SN[:, self.num_read :]
        if not new_SN.shape[1]:  # this rank is done, but sharded models need it in every step
            new_SN = token_SN[:, -1:]
        is_first = not self.num_read
        self.num_read = token_SN.shape[1]
        repeats = token_SN.shape[0] // self.num_questions
        parts: dict[int, Tensor] = {}
        for rows, which in zip(self.rows, self.members, strict=True):
            if is_first:
                start_RN = self._tokens(new_SN[::repeats], which)
                logits = rows.read(self._begun(start_RN, new_SN, rows.model), repeats)
            else:
                logits = rows.step(self._tokens(new_SN, which))
            for k, part in zip(which, logits.chunk(len(which)), strict=True):
                parts[k] = part.to(token_SN.device, non_blocking=True)
        if is_first:
            self._lay_out(token_SN.shape[0])
        in_order = [parts[k] for k in range(len(parts))]
        return combined(self.branches, self.alignments, in_order)

    @contextmanager
    def few_at_a_time(self) -> Iterator[None]:
        """Context with the weight layout that a CPU reads fastest for few rows."""
        with ExitStack() as self.layouts:
            yield
        self.layouts = None

    def _lay_out(self, num_sequences: int) -> None:
        if self.layouts is None:
            return
        for rows, which in zip(self.rows, self.members, strict=True):
            if is_faster(len(which) * num_sequences, self.num_new, rows.device):
                self.layouts.enter_context(column_major(rows.model))

    def reorder(self, row_S: Tensor) -> None:
        """Replace the sequences by others of them."""
        num = len(row_S)
        for rows, which in zip(self.rows, self.members, strict=True):
            rows.reorder(torch.cat([row_S + k * num for k in range(len(which))]))

    def crop(self, num_tokens: int) -> None:
        """Drop the last tokens."""
        self.num_read -= num_tokens
        for rows in self.rows:
            rows.crop(num_tokens)

    def _begun(self, start_RN: Tensor, given_SN: Tensor, model: Any) -> Tensor:
        """Start tokens of rows: each model's own, unless the first one was given another."""
        first = self.branches.first.model
        if model is first or not first.config.is_encoder_decoder:
            return start_RN
        is_own = bool((given_SN[:, 0] == start_id(first)).all())
        return torch.full_like(start_RN, start_id(model)) if is_own else start_RN

    def _tokens(self, token_SN: Tensor, which: list[int]) -> Tensor:
        """The same tokens for the rows of several branches, in their own ids."""
        return torch.cat([self.alignments[k].ids(token_SN) for k in which])


def check_prompts(branches: Branches, prompts: Sequence[Sequence[Ids]]) -> None:
    """Raise a ValueError if prompts are missing or empty; names the branch."""
    if len(prompts) != len(branches.branches) or len({len(one) for one in prompts}) != 1:
        raise ValueError(
            f"{len(branches.branches)} branches need as many lists of prompts of one length, "
            f"got {[len(one) for one in prompts]}"
        )
    for k, prompt_ids in enumerate(prompts):
        for b, ids in enumerate(prompt_ids):
            if not len(ids):
                raise ValueError(
                    f"question {b} has a prompt without a token for branch {branches.named(k)}: "
                    "give it a start token"
                )


def by_model(models: Sequence[Any]) -> list[list[int]]:
    """Indices of the branches of each model, in order of first appearance."""
    first = [next(i for i, other in enumerate(models) if other is one) for one in models]
    order = sorted(range(len(models)), key=first.__getitem__)
    return [list(group) for _, group in groupby(order, key=first.__getitem__)]


def alignments_of(branches: Branches) -> list[Alignment]:
    """Alignments of the branches' vocabularies with the first one's logits."""
    num_tokens = int(branches.first.model.get_output_embeddings().weight.shape[0])
    return [Alignment(num_tokens, one.mapping) for one in branches.branches]


def combined(
    branches: Branches, alignments: Sequence[Alignment], parts: Sequence[Tensor]
) -> Tensor:
    """Combined logits; minus infinity for tokens that a branch does not have.

    Args:
        branches: Weights and combination.
        alignments: Of the branches' vocabularies.
        parts: Logits [..., W] of every branch, in order, on one device.
    """
    aligned = [to.logits(part) for to, part in zip(alignments, parts, strict=True)]
    total = branches.combination(aligned, branches.weights)
    for to, part in zip(alignments, parts, strict=True):
        there = to.is_there(part.shape[-1])
        if there is not None:
            total = total.masked_fill(~there.to(total.device), -torch.inf)
    return total
