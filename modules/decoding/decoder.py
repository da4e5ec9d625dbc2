"""From questions to texts: prompts of all branches, generation, likelihoods.

Five lines of Python are enough, for instance for context-aware decoding:

    branches = context_aware(
        model, tokenizer, Formatted("{context} {question}"), Formatted("{question}"), alpha=0.5
    )
    decoder = Decoder(branches)
    asked = {"context": "The capital of Norway is Bergen.", "question": "The capital of Norway is"}
    print(decoder.generate([asked], max_new_tokens=5, do_sample=False)[0].text)
"""

import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

from modules.causal_lm.generate import cut
from modules.decoding.branches import Branches, Question
from modules.decoding.fitting import excess, fitted, without_end
from modules.decoding.generate import generate
from modules.decoding.likelihood import Likelihood, loglikelihood
from modules.decoding.prompts import encode
from modules.decoding.rows import CacheKind

Told = list[list[list[int]]]
"""Token ids of prompts, by branch and question."""


class Written(NamedTuple):
    """A text that branches wrote.

    Attributes:
        text: Without special tokens, up to a stop string.
        tokens: Ids of the new tokens up to the end, which is included.
        question: Number of its question; several texts of one stand together.
    """

    text: str
    tokens: list[int]
    question: int


class Decoder:
    """Branches that answer questions.

    Args:
        branches: Models, prompts and weights.
        cut_field: Field of which the end is cut off, for all branches alike, where a prompt is
            longer than its model's context.
        cache: Whether key-value caches grow, or have a fixed size that torch.compile can reuse.
        share_prompts: Whether one model by itself, too, reads a prompt once for all its texts.

    Attributes:
        num_cut: Questions that were cut so far.
    """

    def __init__(
        self,
        branches: Branches,
        cut_field: str = "context",
        cache: CacheKind = "dynamic",
        share_prompts: bool = False,
    ):
        self.branches = branches
        self.cut_field = cut_field
        self.cache: CacheKind = cache
        self.share_prompts = share_prompts
        self.num_cut = 0

    @property
    def tokenizer(self) -> Any:
        """The first branch's, whose ids the texts have."""
        return self.branches.first.tokenizer

    # Prompts

    def prompts(self, questions: Sequence[Question], num_new: int) -> Told:
        """Token ids of the prompts, by branch and question.

        Args:
            questions: What is asked.
            num_new: Tokens that may follow, at most.

        Raises:
            ValueError: A field is missing; or a question is too long however short its context.
        """
        before = self.num_cut
        rows = [self._fitting(question, num_new) for question in questions]
        if self.num_cut > before:
            warnings.warn(
                f"{self.num_cut - before} of {len(questions)} questions were too long: the end of "
                f"their {self.cut_field} was cut off for all branches alike "
                f"({self.num_cut} so far)",
                stacklevel=3,
            )
        return [list(told) for told in zip(*rows, strict=True)]

    def _fitting(self, question: Question, num_new: int) -> list[list[int]]:
        whole = fitted(
            question,
            lambda one: excess(self.branches, one, num_new),
            lambda one, num: without_end(one, self.cut_field, num, self.tokenizer),
        )
        self.num_cut += whole is not question
        return [encode(one.prompt, whole, one.tokenizer) for one in self.branches.branches]

    # Texts

    def generate(
        self,
        questions: Sequence[Question],
        *,
        max_new_tokens: int = 128,
        stop: Sequence[str] = (),
        streamer: Any = None,
        **arguments: Any,
    ) -> list[Written]:
        """Answer questions.

        Args:
            questions: What is asked.
            max_new_tokens: Of an answer, at most.
            stop: Strings that end an answer and are left out of it.
            streamer: Of transformers.
            arguments: Of transformers' `generate`, such as do_sample, temperature, top_p,
                num_beams, num_return_sequences.

        Returns:
            The answers, several of a question together.
        """
        if not questions:
            return []
        told = self.prompts(questions, max_new_tokens)
        ends = self.ends(arguments.pop("eos_token_id", None))
        sequences = generate(
            self.branches,
            told,
            cache=self.cache,
            share_prompts=self.share_prompts,
            stop_strings=stop,
            streamer=streamer,
            max_new_tokens=max_new_tokens,
            eos_token_id=sorted(ends) or None,
            **arguments,
        )
        sequences = getattr(sequences, "sequences", sequences)
        repeats = len(sequences) // len(questions)
        is_encoded = self.branches.first.model.config.is_encoder_decoder
        num_told = 1 if is_encoded else max(map(len, told[0]))
        return [
            self._written(told[0][row // repeats], new, ends, stop, row // repeats)
            for row, new in enumerate(sequences[:, num_told:].tolist())
        ]

    def ends(self, asked: int | list[int] | None) -> set[int]:
        """Ids that end a text: as asked, or the model's, or the tokenizer's."""
        known = self.branches.first.model.generation_config.eos_token_id
        found = next((e for e in (asked, known, self.tokenizer.eos_token_id) if e is not None), [])
        return set(found) if isinstance(found, list) else {int(found)}

    def _written(
        self, prompt: list[int], new: list[int], ends: set[int], stop: Sequence[str], number: int
    ) -> Written:
        over = next((n + 1 for n, token in enumerate(new) if token in ends), len(new))
        tokens = new[:over]
        if self.branches.first.model.config.is_encoder_decoder:
            text = self.tokenizer.decode(tokens, skip_special_tokens=True)
        else:  # decoding the whole keeps the space between prompt and text
            before = self.tokenizer.decode(prompt, skip_special_tokens=True)
            both = self.tokenizer.decode([*prompt, *tokens], skip_special_tokens=True)
            text = both[len(before) :]
        return Written(cut(text, list(stop)), tokens, number)

    # Likelihoods

    def loglikelihood(
        self,
        questions: Sequence[Question],
        continuations: Sequence[str | Sequence[int]],
        batch_size: int = 8,
        by_branch: bool = False,
    ) -> list[Likelihood]:
        """Log-probabilities of continuations under the combined branches, in nats.

        Args:
            questions: What is asked, one for each continuation.
            continuations: Texts as they follow the first branch's prompt, blanks included, or ids.
            batch_size: Questions read at a time.
            by_branch: Whether every branch is told apart as well.
        """
        ids = [
            self.continuation_ids(question, text) if isinstance(text, str) else list(text)
            for question, text in zip(questions, continuations, strict=True)
        ]
        told = self.prompts(questions, max(map(len, ids), default=0)) if questions else []
        if not questions:
            return []
        return loglikelihood(self.branches, told, ids, batch_size, by_branch)

    def continuation_ids(self, question: Question, text: str) -> list[int]:
        """Ids of a text behind the first branch's prompt, as the two are tokenised together.

        Raises:
            ValueError: The text has no token.
        """
        first = self.branches.first
        prompt = first.prompt(question, first.tokenizer)
        is_encoded = first.model.config.is_encoder_decoder
        told: list[int] = self.tokenizer.encode(prompt, add_special_tokens=False)
        whole: list[int] = self.tokenizer.encode(prompt + text, add_special_tokens=False)
        is_behind = whole[: len(told)] == told and not is_encoded
        ids = whole[len(told) :] if is_behind else []
        ids = ids or self.tokenizer.encode(text, add_special_tokens=False)
        if not ids:
            raise ValueError(f"the continuation {text!r} has no token")
        return list(ids)
