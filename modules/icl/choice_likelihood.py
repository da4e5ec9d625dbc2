"""Likelihood of label words after prompts, without gradients.

A row is read once for all words that it holds but for their last token: label words of one token
take one row together, and so do equal prompts of several questions.

Shape legend: N = prompts, C = choices of the prompt that has most, B = rows, L = row length,
T = tokens of all words of a batch, A = positions that they are predicted at, V = vocabulary.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from modules.base.rank_share import RankShare
from modules.causal_lm.network import LanguageModel
from modules.icl.label_rows import LabelRow, as_batch
from modules.metrics.image.frechet_metric import over_ranks


@dataclass(frozen=True)
class SharedRow:
    """A row that is read once for several.

    Attributes:
        longest: The row that is read.
        rows: Rows that it holds but for their last token, itself among them.
    """

    longest: LabelRow
    rows: list[LabelRow]


@torch.no_grad()
def choice_log_p(
    language_model: LanguageModel,
    tokenizer: Any,
    prompts: Sequence[str],
    choices: Sequence[Sequence[str]],
    ids: Sequence[str] | None = None,
    tokens_per_batch: int = 8192,
    share: RankShare = RankShare(),  # noqa: B008 - frozen
) -> Tensor:
    """Log-probability of each choice after its prompt: the sum over its tokens, in nats.

    It is the negative loss of the choice's row (`modules.icl.label_rows.label_rows`).

    Args:
        language_model: Reads the rows; it should be in evaluation mode.
        tokenizer: Its tokenizer.
        prompts: Texts that the choices follow.
        choices: Choices of each, verbatim with their leading space.
        ids: Names of the prompts, for messages; their numbers from 0 where None.
        tokens_per_batch: Tokens that are read at once, at most, but for a longer row.
        share: Which batches this rank reads, where all are given the same prompts; it gets what
            the others read.

    Returns:
        [N, C] on the CPU, float64; -inf where a prompt has fewer choices than another.

    Raises:
        ValueError: Two choices of a prompt begin with the same token, one has no token, or a row
            is longer than the model can read; names the question.
    """
    names = ids or [str(n) for n in range(len(prompts))]
    rows = [
        choice_rows(tokenizer, language_model.readable, *one)
        for one in zip(names, prompts, choices, strict=True)
    ]
    found = dict[LabelRow, float]()
    made = list(batches(readings(rows), tokens_per_batch))
    for number in share.of(len(made)):
        found |= read(language_model, made[number])
    if share.world > 1:
        found = dict(over_ranks(list(found.items())))
    num_choices = max(map(len, rows), default=0)
    log_p_NC = torch.full((len(rows), num_choices), -torch.inf, dtype=torch.float64)
    for log_p_C, several in zip(log_p_NC, rows, strict=True):
        log_p = [found[row] for row in several]
        log_p_C[: len(several)] = torch.tensor(log_p, dtype=torch.float64)
    return log_p_NC


def choice_rows(
    tokenizer: Any, readable: int | None, name: str, prompt: str, choices: Sequence[str]
) -> list[LabelRow]:
    """The row of each choice of a question, checked.

    Args:
        tokenizer: Of transformers.
        readable: Longest row in tokens; any where None.
        name: Of the question, for messages.
        prompt: Its prompt.
        choices: Its choices.

    Raises:
        ValueError: Two choices begin with the same token, one has no token, or a row is too long.
    """
    try:
        rows = [LabelRow.of(tokenizer, prompt, choice) for choice in choices]
        check_apart(tokenizer, choices, rows)
        check_room(readable, choices, rows)
    except ValueError as error:
        raise ValueError(f"question {name!r}: {error}") from error
    return rows


def check_apart(tokenizer: Any, choices: Sequence[str], rows: Sequence[LabelRow]) -> None:
    """Refuse choices that begin alike: what a model says first must tell them apart.

    Raises:
        ValueError: Two have the same first token; names both and the token.
    """
    first = dict[int, str]()
    for choice, row in zip(choices, rows, strict=True):
        token = row.word[0]
        if token in first:
            raise ValueError(
                f"the choices {first[token]!r} and {choice!r} begin with the same token, "
                f"{tokenizer.convert_ids_to_tokens(token)!r}; choose words that differ in the first"
            )
        first[token] = choice


def check_room(readable: int | None, choices: Sequence[str], rows: Sequence[LabelRow]) -> None:
    """Refuse rows that are longer than a model can read.

    Raises:
        ValueError: One is; gives its lengths and the model's.
    """
    for choice, row in zip(choices, rows, strict=True):
        if readable is not None and len(row.read) > readable:
            raise ValueError(
                f"its prompt has {len(row.prompt)} tokens and the choice {choice!r} "
                f"{len(row.word)}, but the model reads {readable}; show fewer demonstrations"
            )


def readings(rows: Sequence[Sequence[LabelRow]]) -> list[SharedRow]:
    """What is to be read, each once.

    Args:
        rows: Rows of the choices of each question.
    """
    found = dict[tuple[int, ...], SharedRow]()
    for several in rows:
        reads = {row.read: row for row in several}
        held = [r for r in reads if any(r == o[: len(r)] for o in reads if len(o) > len(r))]
        longest = [row for r, row in reads.items() if r not in held]
        for row in several:
            holder = next(one for one in longest if one.read[: len(row.read)] == row.read)
            reading = found.setdefault(holder.read, SharedRow(holder, []))
            reading.rows.extend([row] if row not in reading.rows else [])
    return list(found.values())


def batches(readings: Sequence[SharedRow], tokens_per_batch: int) -> Iterator[list[SharedRow]]:
    """Readings of like length together, the longest first."""
    batch = list[SharedRow]()
    for one in sorted(readings, key=lambda one: -len(one.longest.read)):
        if batch and (len(batch) + 1) * len(batch[0].longest.read) > tokens_per_batch:
            yield batch
            batch = []
        batch.append(one)
    if batch:
        yield batch


def read(language_model: LanguageModel, batch: Sequence[SharedRow]) -> dict[LabelRow, float]:
    """Log-probabilities of the words of a batch, in float32 at least."""
    made = as_batch([one.longest for one in batch], language_model.model.device)
    L = made["token_BL"].shape[1]
    rows = [(b * L + len(row.prompt) - 1, row) for b, one in enumerate(batch) for row in one.rows]
    at_T = torch.tensor([start + t for start, row in rows for t in range(len(row.word))])
    at_A, index_T = at_T.unique(return_inverse=True)
    logits_BLV = language_model(made["token_BL"], made["position_BL"], made["length_N"])
    logits_AV = logits_BLV.flatten(0, 1)[at_A.to(logits_BLV.device)]
    exact = torch.promote_types(logits_AV.dtype, torch.float32)
    log_p_AV = logits_AV.log_softmax(-1, dtype=exact)
    token_T = torch.tensor([token for _, row in rows for token in row.word])
    log_p_T = log_p_AV[index_T.to(log_p_AV.device), token_T.to(log_p_AV.device)].tolist()
    values = iter(log_p_T)
    return {row: sum(next(values) for _ in row.word) for _, row in rows}
