"""Combined branches as a model of EleutherAI's lm-evaluation-harness, version 0.4.9 or later.

    both, alone = Verbatim("{context}{question}"), Verbatim("{question}")
    decoder = Decoder(context_aware(model, tokenizer, both, alone, alpha=1.0))
    lm = Combined(decoder, SplitAt("Question:"))
    print(lm_eval.simple_evaluate(lm, tasks=["squadv2"])["results"])

The harness's own class for models with a tokenizer handles what does not depend on branches: empty
contexts, chat templates, windows of long texts. The package is in a dependency group of its own:
`uv run --group harness python ...`.
"""

import json
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from typing_extensions import override

from engine.disk.bar import bar
from modules.causal_lm.generate import cut
from modules.causal_lm.tokens.prompts import prompt_ids
from modules.decoding.branches.branches import encode
from modules.decoding.branches.likelihood import Likelihood, loglikelihood
from modules.decoding.branches.rows import prompt_room
from modules.decoding.branches.step import alignments_of
from modules.decoding.decoder import Decoder
from modules.decoding.fitting import Fitted, fit, without_prefix
from modules.decoding.harness.tasks import Verbatim, arguments, whole
from modules.prompting.question import Question
from modules.prompting.templates import TemplateOptions, as_chat

try:
    from lm_eval.api.model import TemplateLM
    from lm_eval.api.registry import register_model
    from lm_eval.utils import get_rolling_token_windows, make_disjoint_window
except ModuleNotFoundError as error:
    if not str(error.name).startswith("lm_eval"):
        raise
    raise ModuleNotFoundError(
        "lm-eval is not installed: run the same command by `uv run --group harness ...`",
        name=error.name,
    ) from None

Request = tuple[tuple[str, str], list[int], list[int]]
"""A likelihood request of the harness: context and continuation, and their token ids."""
TOGETHER = 8
"""Batches per update of the progress bar."""


class ScoredRow(NamedTuple):
    """A continuation to score.

    Attributes:
        prompt_ids: Token ids of its prompts, by branch.
        ids: Its own token ids, in the first branch's vocabulary.
    """

    prompt_ids: list[list[int]]
    ids: list[int]


@register_model("combined")
class Combined(TemplateLM):
    """Combined branches as a model of the harness.

    A text that is too long is cut at its start, in the first field of the question that is not
    empty.

    Args:
        decoder: Models, prompts and weights.
        split: Splits a text of the harness into the fields of a question.
        batch_size: Texts per batch.
        max_gen_toks: Maximum tokens of an answer, if the task does not say.
        template_options: Further arguments of the chat template, such as
            `{"enable_thinking": False}`.
        device: Not used: models keep their devices.
        max_batch_size: Not used.

    Raises:
        ValueError: The batch size is not a positive number.
    """

    def __init__(
        self,
        decoder: Decoder,
        split: Callable[[str], dict[str, str]] = whole,
        batch_size: int | str = 8,
        max_gen_toks: int = 256,
        template_options: TemplateOptions | None = None,
        device: str | None = None,
        max_batch_size: int | None = None,
    ):
        super().__init__()
        if not str(batch_size).isdecimal() or int(batch_size) < 1:
            raise ValueError(f"batch_size must be a number from 1 on, got {batch_size!r}.")
        self.decoder = decoder
        self.tokenizer = decoder.tokenizer
        self.split = split
        self.batch_size = int(batch_size)
        self.max_gen_toks = max_gen_toks
        self.template_options = template_options
        first = decoder.branches.first.model
        self.backend = "seq2seq" if first.config.is_encoder_decoder else "causal"
        self._device = first.device
        self.num_cut = 0

    # Tokens

    @property
    @override
    def eot_token_id(self) -> int:
        """The token that ends a text."""
        return int(self.tokenizer.eos_token_id)

    @property
    @override
    def prefix_token_id(self) -> int:
        """What the first branch reads before a text without a prompt."""
        start = self.tokenizer.bos_token_id
        return self.eot_token_id if start is None else int(start)

    @override
    def tok_encode(
        self, string: str, add_special_tokens: bool | None = None, **kwargs: Any
    ) -> list[int]:
        return prompt_ids(self.tokenizer, string, special_tokens=add_special_tokens is not False)

    @property
    @override
    def tokenizer_name(self) -> str:
        """Of the first branch; names the harness's own cache of requests."""
        return str(self.tokenizer.name_or_path).replace("/", "__")

    # Likelihoods

    @override
    def _encode_pair(self, context: str, continuation: str) -> tuple[list[int], list[int]]:
        """Ids of a continuation after the first branch's prompt.

        Spaces at the end of the context are moved to the continuation. The context's own ids are
        those of the branches' prompts, so none are given.
        """
        kept = context.rstrip()
        text = context[len(kept) :] + continuation
        return [], self.decoder.continuation_ids(self.split(kept), text)

    @override
    def _loglikelihood_tokens(
        self, requests: Sequence[Request], disable_tqdm: bool = False, **kwargs: Any
    ) -> list[tuple[float, bool]]:
        rows = [self._row(context, ids) for (context, _), _, ids in requests]
        self._warn_of_cut(len(requests))
        found = [(one.total, one.is_greedy) for one in self._scored(rows, disable_tqdm)]
        for (pair, _, _), answer in zip(requests, found, strict=True):
            self.cache_hook.add_partial("loglikelihood", pair, answer)
        return found

    @override
    def loglikelihood_rolling(
        self, requests: Sequence[Any], disable_tqdm: bool = False
    ) -> list[float]:
        """Log-likelihood in nats of each text without a prompt.

        All branches read a start token instead of a prompt. It is not predicted; the harness's own
        class predicts it if a tokenizer adds one. A text longer than a model's context is read in
        the harness's windows: every token counts once, with as many tokens before it as fit, at
        least one.
        """
        texts = [one.args[0] for one in requests]
        parts = [self._windows(text) for text in texts]
        owners = [index for index, rows in enumerate(parts) for _ in rows]
        totals = [0.0] * len(requests)
        found = self._scored([row for rows in parts for row in rows], disable_tqdm)
        for owner, likelihood in zip(owners, found, strict=True):
            totals[owner] += likelihood.total
        for text, total in zip(texts, totals, strict=True):
            self.cache_hook.add_partial("loglikelihood_rolling", (text,), total)
        return totals

    def _row(self, context: str, ids: list[int]) -> ScoredRow:
        """Prompts of a context, cut so that a continuation fits after them."""
        return ScoredRow(self._fitted(context.rstrip(), len(ids) - 1).ids, ids)

    def _windows(self, text: str) -> list[ScoredRow]:
        """A text without a prompt, in windows that fit the models."""
        branches = self.decoder.branches
        ids = self.tok_encode(text, add_special_tokens=False)
        rooms = [prompt_room(one.model, 0) for one in branches.branches]
        longest = min((room for room in rooms if room is not None), default=max(1, len(ids)))
        starts = [encode(replace(one, prompt=Verbatim("")), {}) for one in branches.branches]
        own = [one.ids for one in alignments_of(branches)]
        windows = get_rolling_token_windows(ids, self.prefix_token_id, longest, context_len=1)
        pairs = [make_disjoint_window(window) for window in windows]
        return [
            ScoredRow([to(torch.tensor(before)).tolist() for to in own] if n else starts, part)
            for n, (before, part) in enumerate(pairs)
        ]

    def _scored(self, rows: Sequence[ScoredRow], quiet: bool) -> list[Likelihood]:
        """Likelihoods of rows; those of similar length share a batch."""
        branches, step = self.decoder.branches, TOGETHER * self.batch_size
        order = sorted(range(len(rows)), key=lambda n: -cost(rows[n]))
        found: dict[int, Likelihood] = {}
        with bar(len(rows), "row", "likelihoods", quiet=quiet) as shown:
            for at in range(0, len(rows), step):
                chosen = order[at : at + step]
                prompts = list(zip(*(rows[n].prompt_ids for n in chosen), strict=True))
                ids = [rows[n].ids for n in chosen]
                read = loglikelihood(branches, prompts, ids, self.batch_size)
                found.update(zip(chosen, read, strict=True))
                shown.update(len(chosen))
        return [found[n] for n in range(len(rows))]

    # Texts

    @override
    def generate_until(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[str]:
        """Answers to each (context, arguments), up to a stop string."""
        found: dict[int, str] = {}
        with bar(len(requests), "text", "texts", quiet=disable_tqdm) as shown:
            for chosen in self._alike(requests):
                how = arguments(requests[chosen[0]].args[1], self.max_gen_toks)
                texts = self._written([requests[index].args[0] for index in chosen], how)
                for index, text in zip(chosen, texts, strict=True):
                    found[index] = text
                    self.cache_hook.add_partial("generate_until", requests[index].args, text)
                shown.update(len(chosen))
        self._warn_of_cut(len(requests))
        return [found[index] for index in range(len(requests))]

    def _alike(self, requests: Sequence[Any]) -> list[list[int]]:
        """Indices of requests of equal arguments and similar length, the longest first."""
        alike: dict[str, list[int]] = {}
        for index in sorted(range(len(requests)), key=lambda n: -len(requests[n].args[0])):
            name = json.dumps(requests[index].args[1], sort_keys=True, default=str)
            alike.setdefault(name, []).append(index)
        size = self.batch_size
        return [same[at : at + size] for same in alike.values() for at in range(0, len(same), size)]

    def _written(self, contexts: Iterable[str], how: dict[str, Any]) -> list[str]:
        """Answers, decoded without the prompt as the harness does: without a space before them."""
        asked = [self._fitted(context, int(how["max_new_tokens"])) for context in contexts]
        decode = self.tokenizer.decode
        return [
            cut(decode(one.tokens, skip_special_tokens=True), how["stop"])
            for one in self.decoder.generate(asked, **how)
        ]

    # Both

    def _fitted(self, text: str, num_new: int) -> Fitted:
        """A text's question, cut at the start until it fits."""
        question: Question = self.split(text)
        found = fit(
            self.decoder.branches,
            question,
            num_new,
            lambda one, over: without_prefix(one, over, self.tokenizer),
        )
        self.num_cut += found.num_cut > 0
        return found

    def _warn_of_cut(self, num: int) -> None:
        if self.num_cut:
            warnings.warn(
                f"{self.num_cut} of {num} texts were too long and were cut at the start",
                stacklevel=3,
            )
        self.num_cut = 0

    # Conversations

    @override
    def chat_template(self, chat_template: bool | str = False) -> str:
        """The first branch's template, by name if it has several; empty if none is wanted."""
        if not chat_template:
            return ""
        name = None if chat_template is True else chat_template
        return str(self.tokenizer.get_chat_template(name))

    @override
    def apply_chat_template(
        self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True
    ) -> str:
        """A conversation in the first branch's template."""
        is_continued = not add_generation_prompt
        return as_chat(chat_history, self.tokenizer, self.template_options, continued=is_continued)


def cost(row: ScoredRow) -> int:
    """Tokens of the longest prompt and what follows it."""
    return max(map(len, row.prompt_ids)) + len(row.ids)
