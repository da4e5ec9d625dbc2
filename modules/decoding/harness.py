"""Combined branches as a model of EleutherAI's lm-evaluation-harness, version 0.4.9 or later.

    both, alone = Verbatim("{context}{question}"), Verbatim("{question}")
    decoder = Decoder(context_aware(model, tokenizer, both, alone, alpha=1.0))
    lm = Combined(decoder, SplitAt("Question:"))
    print(lm_eval.simple_evaluate(lm, tasks=["squadv2"])["results"])

The package is in a dependency group of its own: `uv run --group harness python ...`.
"""

import json
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from tqdm import tqdm
from typing_extensions import override

from modules.decoding.branches import Question
from modules.decoding.decoder import Decoder
from modules.decoding.ensemble import alignments_of
from modules.decoding.fitting import excess, fitted, without_beginning
from modules.decoding.likelihood import Likelihood, loglikelihood
from modules.decoding.prompts import encode
from modules.decoding.rows import prompt_room
from modules.decoding.tasks import Verbatim, arguments, whole, windows

try:
    from lm_eval.api.model import LM
    from lm_eval.api.registry import register_model
except ModuleNotFoundError as error:
    if not str(error.name).startswith("lm_eval"):
        raise
    raise ModuleNotFoundError(
        "lm-eval is not installed: run the same command by `uv run --group harness ...`",
        name=error.name,
    ) from None


class Row(NamedTuple):
    """A continuation whose likelihood is asked for.

    Attributes:
        told: Token ids of its prompts, by branch.
        ids: Its own, in the first branch's vocabulary.
    """

    told: list[list[int]]
    ids: list[int]


@register_model("combined")
class Combined(LM):
    """Branches that take the harness's tasks.

    A text that is too long loses its beginning, in the first field of the question that has any.

    Args:
        decoder: Models, prompts and weights.
        split: Makes the fields of a question, of which prompts are made, from a text of the
            harness.
        batch_size: Texts read at a time.
        max_gen_toks: Tokens of an answer, at most, where the task does not say.
        device: Not used: models are where they are.
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
        device: str | None = None,
        max_batch_size: int | None = None,
    ):
        super().__init__()
        if not str(batch_size).isdecimal() or int(batch_size) < 1:
            raise ValueError(f"batch_size must be a number from 1 on, got {batch_size!r}.")
        self.decoder = decoder
        self.split = split
        self.batch_size = int(batch_size)
        self.max_gen_toks = max_gen_toks
        self._device = decoder.branches.first.model.device
        self.num_cut = 0

    # Likelihoods

    @override
    def loglikelihood(self, requests: Sequence[Any]) -> list[tuple[float, bool]]:
        """Log-likelihood in nats of each (context, continuation), and whether it is greedy."""
        rows = [self._row(*one.args) for one in requests]
        self._tell_cut(len(requests))
        found: dict[int, tuple[float, bool]] = {}
        for number, one in self._scored(rows):
            found[number] = one.total, one.is_greedy
            self.cache_hook.add_partial("loglikelihood", requests[number].args, found[number])
        return [found[number] for number in range(len(requests))]

    @override
    def loglikelihood_rolling(self, requests: Sequence[Any]) -> list[float]:
        """Log-likelihood in nats of each text by itself.

        All branches read a start token instead of a prompt. Where a text is longer than a model's
        context, it is read in parts: every token counts once, the last part has as many tokens
        before it as there is room for, the others one.
        """
        rows, owners = list[Row](), list[int]()
        for number, one in enumerate(requests):
            parts = self._parts(*one.args)
            rows += parts
            owners += [number] * len(parts)
        totals = [0.0] * len(requests)
        for row, likelihood in self._scored(rows):
            totals[owners[row]] += likelihood.total
        for one, total in zip(requests, totals, strict=True):
            self.cache_hook.add_partial("loglikelihood_rolling", one.args, total)
        return totals

    def _row(self, context: str, continuation: str) -> Row:
        """Prompts and continuation; blanks at the end of the context go to the continuation."""
        kept = context.rstrip()
        question: Question = self.split(kept)
        ids = self.decoder.continuation_ids(question, context[len(kept) :] + continuation)
        question = self._fitted(question, len(ids))
        branches = self.decoder.branches.branches
        return Row([encode(one, question) for one in branches], ids)

    def _parts(self, text: str) -> list[Row]:
        """A text by itself, in parts that the models can take."""
        branches = self.decoder.branches
        ids = self.decoder.tokenizer.encode(text, add_special_tokens=False)
        rooms = [prompt_room(one.model, 1) for one in branches.branches]
        longest = min((room for room in rooms if room is not None), default=max(1, len(ids)))
        starts = [encode(replace(one, prompt=Verbatim("")), {}) for one in branches.branches]
        own = [one.ids for one in alignments_of(branches)]
        return [
            Row([to(torch.tensor(before)).tolist() for to in own] if before else starts, part)
            for before, part in windows(ids, longest)
        ]

    def _scored(self, rows: Sequence[Row]) -> Iterator[tuple[int, Likelihood]]:
        """Numbers of rows and their likelihoods, the longest first."""
        branches = self.decoder.branches
        with progress(len(rows), "likelihoods") as bar:
            for chosen in self._batches(rows):
                told = zip(*(rows[number].told for number in chosen), strict=True)
                ids = [rows[number].ids for number in chosen]
                found = loglikelihood(branches, list(told), ids, len(chosen))
                yield from zip(chosen, found, strict=True)
                bar.update(len(chosen))

    def _batches(self, rows: Sequence[Row]) -> list[list[int]]:
        """Numbers of rows of like length that fit the models together."""
        lengths = [max(map(len, row.told)) + len(row.ids) for row in rows]
        batches = list[list[int]]()
        for number in sorted(range(len(rows)), key=lambda n: -lengths[n]):
            together = [*batches[-1], number] if batches else []
            if together and len(together) <= self.batch_size and self._fit(rows, together):
                batches[-1] = together
            else:
                batches.append([number])
        return batches

    def _fit(self, rows: Sequence[Row], chosen: Sequence[int]) -> bool:
        """Whether the longest prompt and the longest continuation fit every model together."""
        num_new = max(len(rows[number].ids) for number in chosen)
        for k, one in enumerate(self.decoder.branches.branches):
            room = prompt_room(one.model, num_new)
            if room is not None and max(len(rows[number].told[k]) for number in chosen) > room:
                return False
        return True

    # Texts

    @override
    def generate_until(self, requests: Sequence[Any]) -> list[str]:
        """Answers to each (context, arguments), up to a stop string."""
        found: dict[int, str] = {}
        with progress(len(requests), "texts") as bar:
            for chosen in self._alike(requests):
                how = arguments(requests[chosen[0]].args[1], self.max_gen_toks)
                texts = self._written([requests[number].args[0] for number in chosen], how)
                for number, text in zip(chosen, texts, strict=True):
                    found[number] = text
                    self.cache_hook.add_partial("generate_until", requests[number].args, text)
                bar.update(len(chosen))
        self._tell_cut(len(requests))
        return [found[number] for number in range(len(requests))]

    def _alike(self, requests: Sequence[Any]) -> list[list[int]]:
        """Numbers of requests of equal arguments and like length, the longest first."""
        alike: dict[str, list[int]] = {}
        for number in sorted(range(len(requests)), key=lambda n: -len(requests[n].args[0])):
            name = json.dumps(requests[number].args[1], sort_keys=True, default=str)
            alike.setdefault(name, []).append(number)
        size = self.batch_size
        return [same[at : at + size] for same in alike.values() for at in range(0, len(same), size)]

    def _written(self, contexts: Sequence[str], how: dict[str, Any]) -> list[str]:
        num_new = int(how["max_new_tokens"])
        questions = [self._fitted(self.split(context), num_new) for context in contexts]
        return [one.text for one in self.decoder.generate(questions, **how)]

    # Both

    def _fitted(self, question: Question, num_new: int) -> Question:
        """The question without as much of its beginning as is too long."""
        branches, tokenizer = self.decoder.branches, self.decoder.tokenizer
        found = fitted(
            question,
            lambda one: excess(branches, one, num_new),
            lambda one, over: without_beginning(one, over, tokenizer),
        )
        self.num_cut += found is not question
        return found

    def _tell_cut(self, num: int) -> None:
        if self.num_cut:
            warnings.warn(
                f"{self.num_cut} of {num} texts were too long: their beginning was cut off",
                stacklevel=3,
            )
        self.num_cut = 0

    @property
    @override
    def tokenizer_name(self) -> str:
        """Of the first branch; names the harness's own cache of requests."""
        return str(self.decoder.tokenizer.name_or_path).replace("/", "__")

    @override
    def chat_template(self, chat_template: bool | str = False) -> str:
        """The first branch's template, by name where it has several; empty if none is wanted."""
        if not chat_template:
            return ""
        name = None if chat_template is True else chat_template
        return str(self.decoder.tokenizer.get_chat_template(name))

    @override
    def apply_chat_template(
        self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True
    ) -> str:
        """A conversation in the first branch's template."""
        text: str = self.decoder.tokenizer.apply_chat_template(
            chat_history,
            tokenize=False,
            add_generation_prompt=add_generation_prompt,
            continue_final_message=not add_generation_prompt,
        )
        return text


def progress(num: int, what: str) -> Any:
    """A bar, on terminals only."""
    return tqdm(total=num, desc=what, disable=None, dynamic_ncols=True)
