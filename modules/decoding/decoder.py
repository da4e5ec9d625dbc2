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
from dataclasses import dataclass, field
from typing import Any

import torch

from modules.causal_lm.generate import cut
from modules.causal_lm.tokens.ends import StopStrings, ends_of, new_text, token_ids, up_to_end
from modules.decoding.branches.branches import Branch, Branches
from modules.decoding.branches.generate import generate
from modules.decoding.branches.likelihood import Likelihood, loglikelihood
from modules.decoding.branches.rows import CacheKind
from modules.decoding.fitting import Fitted, fit, prompts_of, without_end
from modules.decoding.options import ANSWERED, refuse, strings
from modules.nn.generators import generator_of, seed_of
from modules.prompting.question import Question

Asked = Question | Fitted | str
"""What is asked: a question that may be cut yet, its field `question` alone, or one that was cut
already."""


@dataclass(frozen=True)
class Written:
    """A text that branches wrote.

    Attributes:
        text: Without special tokens, up to a stop string.
        tokens: Ids of the new tokens up to the row's own end, which is included: an end token, or
            the token that completes a stop string.
        question: Number of its question; several texts of one stand together.
        asked: The question as it was answered.
    """

    text: str
    tokens: list[int]
    question: int
    asked: Fitted = field(compare=False)


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

    def fit(self, questions: Sequence[Asked], num_new: int | Sequence[int]) -> list[Fitted]:
        """Questions with their prompts, cut to the models' contexts.

        A question that was cut already stays as it is, and is not counted again.

        Args:
            questions: What is asked.
            num_new: Tokens that may follow, at most; one number, or one for each question.

        Raises:
            ValueError: A field is missing; or a question is too long however short its context.
        """
        rooms = [num_new] * len(questions) if isinstance(num_new, int) else num_new
        found = [self._fit(one, room) for one, room in zip(questions, rooms, strict=True)]
        pairs = zip(questions, found, strict=True)
        num_cut = sum(one is not given and one.num_cut > 0 for given, one in pairs)
        self.num_cut += num_cut
        if num_cut:
            warnings.warn(
                f"{num_cut} of {len(questions)} questions were too long: the end of "
                f"their {self.cut_field} was cut off for all branches alike "
                f"({self.num_cut} so far)",
                stacklevel=3,
            )
        return found

    def _fit(self, question: Asked, num_new: int) -> Fitted:
        if isinstance(question, Fitted):
            return question
        return fit(
            self.branches,
            fields_of(question),
            num_new,
            lambda one, num: without_end(one, self.cut_field, num, self.tokenizer),
        )

    def prompts(self, questions: Sequence[Asked], num_new: int) -> list[list[list[int]]]:
        """Token ids of the prompts of `fit`, by branch and question."""
        return prompts_of(self.fit(questions, num_new))

    # Texts

    def generate(
        self,
        questions: Sequence[Asked],
        *,
        max_new_tokens: int = 128,
        stop: Sequence[str] = (),
        ends: Sequence[int | str] = (),
        seed: int = 0,
        names: Sequence[str] | None = None,
        streamer: Any = None,
        **arguments: Any,
    ) -> list[Written]:
        """Answer questions.

        Where tokens are drawn, each answer has a generator of its own, by the seed, the question's
        name and the number of the answer: it is the same in any batch and in any order.

        Args:
            questions: What is asked.
            max_new_tokens: Of an answer, at most.
            stop: Strings that end an answer and are left out of it; prompts are not searched.
            ends: Further tokens that end an answer, by id or string.
            seed: Of the draws; another one gives other answers.
            names: Of the questions, for the draws; a question's own texts where None, so that the
                same question has the same answers.
            streamer: Of transformers.
            arguments: Of transformers' `generate`, such as do_sample, temperature, top_p,
                num_beams, num_return_sequences. `eos_token_id` takes the place of the models' ends;
                `stop_strings` are further stops.

        Returns:
            The answers, several of a question together.

        Raises:
            ValueError: An option that is told in another way here (`modules.decoding.options`), or
                a question that cannot be asked (`fit`).
        """
        refuse(arguments, ANSWERED)
        if not questions:
            return []
        names = [name_of(one) for one in questions] if names is None else names
        asked = self.fit(questions, max_new_tokens)
        over = self.ends(arguments.pop("eos_token_id", None)) | token_ids(ends, self.tokenizer)
        stop_strings = [*strings(stop), *strings(arguments.pop("stop_strings", None))]
        stops = StopStrings(self.tokenizer, stop_strings)
        arguments |= {"max_new_tokens": max_new_tokens, "eos_token_id": sorted(over) or None}
        arguments |= {"stop_strings": stops.strings}
        rows = self._rows(asked, seed, names, {"streamer": streamer, **arguments})
        repeats = len(rows) // len(asked)
        return [
            self._written(asked[row // repeats], new, over, stops, row // repeats)
            for row, new in enumerate(rows)
        ]

    def _rows(
        self, asked: Sequence[Fitted], seed: int, names: Sequence[str], how: dict[str, Any]
    ) -> list[list[int]]:
        """New tokens of all answers, and what may stand behind their ends."""
        known = self.branches.first.model.generation_config
        is_drawn, num_beams, num = (
            how.get(name, getattr(known, name, None))
            for name in ("do_sample", "num_beams", "num_return_sequences")
        )
        if not is_drawn:
            return self._continued(asked, how)
        if (num_beams or 1) == 1:
            own = [generator_of(seed, name, n) for name in names for n in range(num or 1)]
            return self._continued(asked, {**how, "generators": own})
        device = self.branches.first.model.device  # beams draw together: a question at a time
        rows = []
        for one, name in zip(asked, names, strict=True):
            with torch.random.fork_rng([device] if device.type == "cuda" else []):
                torch.manual_seed(seed_of(seed, name))
                rows += self._continued([one], how)
        return rows

    def _continued(self, asked: Sequence[Fitted], how: dict[str, Any]) -> list[list[int]]:
        prompt_ids = prompts_of(asked)
        sequences = generate(
            self.branches, prompt_ids, cache=self.cache, share_prompts=self.share_prompts, **how
        )
        sequences = getattr(sequences, "sequences", sequences)
        is_encoded = self.branches.first.model.config.is_encoder_decoder
        num_prompt = 1 if is_encoded else max(map(len, prompt_ids[0]))
        rows: list[list[int]] = sequences[:, num_prompt:].tolist()
        return rows

    def ends(self, asked: int | list[int] | None = None) -> set[int]:
        """Ids that end a text: as asked, or those of all models that are leant on.

        A chat expert's end of a turn is heard, whatever the base's end is; those of anti-experts,
        whose weight is not positive, are not.
        """
        if asked is not None:
            return set(asked) if isinstance(asked, list) else {int(asked)}
        first, *others = self.branches.branches
        leant = [first, *(one for one in others if one.weight > 0)]
        width = int(first.model.get_output_embeddings().weight.shape[0])
        return {end for one in leant for end in own_ends(one) if end < width}

    def _written(
        self, asked: Fitted, new: list[int], ends: set[int], stops: StopStrings, number: int
    ) -> Written:
        prompt = [] if self.branches.first.model.config.is_encoder_decoder else asked.ids[0]
        tokens = stops.up_to(prompt, up_to_end(new, ends))
        text = cut(new_text(self.tokenizer, prompt, tokens), stops.strings)
        return Written(text, tokens, number, asked)

    # Likelihoods

    def loglikelihood(
        self,
        questions: Sequence[Asked],
        continuations: Sequence[str | Sequence[int]],
        batch_size: int = 8,
        by_branch: bool = False,
    ) -> list[Likelihood]:
        """Log-probabilities of continuations under the combined branches, in nats.

        Args:
            questions: What is asked, one for each continuation. A question that was cut already
                keeps its prompts; any other is cut for its own continuation alone.
            continuations: Texts as they follow the first branch's prompt, blanks included, or ids.
            batch_size: Questions read at a time.
            by_branch: Whether every branch is told apart as well.
        """
        if not questions:
            return []
        ids = [
            self.continuation_ids(question, text) if isinstance(text, str) else list(text)
            for question, text in zip(questions, continuations, strict=True)
        ]
        asked = self.fit(questions, [len(one) for one in ids])
        return loglikelihood(self.branches, prompts_of(asked), ids, batch_size, by_branch)

    def continuation_ids(self, question: Asked, text: str) -> list[int]:
        """Ids of a text behind the first branch's prompt, as the two are tokenised together.

        Raises:
            ValueError: The text has no token.
        """
        first = self.branches.first
        prompt = first.prompt(fields_of(question), first.tokenizer)
        is_encoded = first.model.config.is_encoder_decoder
        prompt_ids: list[int] = self.tokenizer.encode(prompt, add_special_tokens=False)
        whole: list[int] = self.tokenizer.encode(prompt + text, add_special_tokens=False)
        is_prefix = whole[: len(prompt_ids)] == prompt_ids and not is_encoded
        ids = whole[len(prompt_ids) :] if is_prefix else []
        ids = ids or self.tokenizer.encode(text, add_special_tokens=False)
        if not ids:
            raise ValueError(f"the continuation {text!r} has no token")
        return list(ids)


def fields_of(asked: Asked) -> Question:
    """The texts of a question, by field."""
    if isinstance(asked, Fitted):
        return asked.question
    return {"question": asked} if isinstance(asked, str) else asked


def name_of(asked: Asked) -> str:
    """A name of a question that has none: its texts."""
    return repr(sorted(fields_of(asked).items()))


def own_ends(branch: Branch) -> set[int]:
    """Ids that end a branch's texts, in the first branch's vocabulary."""
    ends = ends_of(branch.model, branch.tokenizer)
    if branch.mapping is None:
        return ends
    return {number for number, own in enumerate(branch.mapping.tolist()) if own in ends}
