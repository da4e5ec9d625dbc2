"""Branches {model, prompt, weight}: one form of many decoding methods.

Context-aware decoding, proxy-tuning, DExperts, contrastive decoding and classifier-free guidance:
the next token's logits are the weighted sum of those of all branches, each of which reads its own
prompt and the same continuation.
"""

import warnings
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from modules.causal_lm.tokens.prompts import prompt_ids
from modules.decoding.branches.combination import (
    AdaptiveContrast,
    Combination,
    PlausibleOnly,
    WeightedSum,
)
from modules.decoding.branches.vocabulary import check_same, map_by_string
from modules.prompting.format import Formatted
from modules.prompting.question import Prompt, Question


@dataclass(frozen=True)
class Branch:
    """A model with its own prompt of a question, and the weight of its logits.

    Attributes:
        model: Causal or encoder-decoder model of transformers.
        tokenizer: Its tokenizer.
        prompt: Makes its prompt from a question.
        weight: Of its logits.
        name: For messages and records.
        mapping: Its ids for those of the first branch's vocabulary (`map_by_string`), [V]; None if
            the vocabularies are the same.
    """

    model: Any
    tokenizer: Any
    prompt: Prompt
    weight: float = 1.0
    name: str = "model"
    mapping: Tensor | None = None


@dataclass(frozen=True)
class Branches:
    """Branches in order, the first of which gives the vocabulary, and how they are combined.

    Branches of weight 0 are dropped if the combination is a weighted sum, unless `keep_zero`.

    Attributes:
        branches: At least one; all causal, or all with an encoder.
        combination: Of their logits.
        keep_zero: Whether branches of weight 0 are computed all the same.

    Raises:
        ValueError: There are no branches; causal and encoder-decoder models are mixed; or
            vocabularies differ.
    """

    branches: tuple[Branch, ...]
    combination: Combination = WeightedSum()  # noqa: RUF009 - frozen
    keep_zero: bool = False

    def __post_init__(self) -> None:
        """Check, warn, and drop branches without weight."""
        if not self.branches:
            raise ValueError("there must be at least one branch")
        kinds = {bool(one.model.config.is_encoder_decoder) for one in self.branches}
        if len(kinds) > 1:
            raise ValueError("causal and encoder-decoder models cannot continue the same text")
        for one in self.branches[1:]:
            if one.mapping is None:
                check_same(self.first.tokenizer, one.tokenizer, one.name)
        self._warn()
        if not self.keep_zero and is_sum(self.combination):
            object.__setattr__(self, "branches", self._with_weight())

    @property
    def first(self) -> Branch:
        """The branch whose vocabulary and prompt are the main ones."""
        return self.branches[0]

    @property
    def weights(self) -> list[float]:
        """Weights of the branches."""
        return [one.weight for one in self.branches]

    @property
    def is_plain(self) -> bool:
        """Whether this is just one model's own decoding."""
        return (
            len(self.branches) == 1
            and self.first.weight == 1.0
            and isinstance(self.combination, WeightedSum)
        )

    def named(self, index: int) -> str:
        """Name of a branch, with its index if another has the same name."""
        names = [one.name for one in self.branches]
        return f"{names[index]}_{index}" if names.count(names[index]) > 1 else names[index]

    def _with_weight(self) -> tuple[Branch, ...]:
        return tuple(one for i, one in enumerate(self.branches) if one.weight or not i)

    def _warn(self) -> None:
        total = sum(self.weights)
        if abs(total - 1) > 1e-6 and is_sum(self.combination):
            warnings.warn(
                f"the weights of the branches sum to {total:g}, not to 1: the combined "
                "distribution is sharper or flatter than a model's",
                stacklevel=4,
            )


def is_sum(combination: Combination) -> bool:
    """Whether it is a weighted sum, in which a branch of weight 0 has no effect."""
    inner = combination.combination if isinstance(combination, PlausibleOnly) else combination
    return isinstance(inner, WeightedSum)


def encode(branch: Branch, question: Question) -> list[int]:
    """Token ids of a branch's prompt (`modules.causal_lm.tokens.prompts`), the same for every use.

    The tokenizer adds its special tokens unless the prompt already has them; encoders read the
    added end as well.
    """
    return prompt_ids(
        branch.tokenizer,
        branch.prompt(question, branch.tokenizer),
        special_tokens=getattr(branch.prompt, "special_tokens", True),
        keep_end=bool(branch.model.config.is_encoder_decoder),
    )


# Ready-made


def context_aware(
    model: Any,
    tokenizer: Any,
    with_context: Prompt,
    without_context: Prompt,
    alpha: float = 0.5,
    adaptive: bool = False,
    plausible: float | None = None,
) -> Branches:
    """Context-aware decoding: (1 + alpha) s(y | c, x) - alpha s(y | x) (Shi et al., 2024).

    Args:
        model: Reads both prompts.
        tokenizer: The model's.
        with_context: Prompt of the context c and the question x.
        without_context: Prompt of the question alone.
        alpha: Extra weight of the context; the paper takes 0.5 for summaries and 1 if the context
            contradicts the model's knowledge.
        adaptive: Whether alpha is computed at every token (AdaCAD); the given one is not used then.
        plausible: Minimum share of the most likely token's probability; no cut if None.
    """
    pair = (
        Branch(model, tokenizer, with_context, 1 + alpha, "with_context"),
        Branch(model, tokenizer, without_context, -alpha, "without_context"),
    )
    return Branches(pair, cut(AdaptiveContrast() if adaptive else WeightedSum(), plausible))


def guided(
    model: Any, tokenizer: Any, prompt: Prompt, negative: Prompt, scale: float = 1.5
) -> Branches:
    """Classifier-free guidance: scale s(y | prompt) + (1 - scale) s(y | negative prompt).

    Of language models: Sanchez et al., 2023, eq. 7; context-aware decoding with alpha = scale - 1.
    """
    pair = (
        Branch(model, tokenizer, prompt, scale, "conditional"),
        Branch(model, tokenizer, negative, 1 - scale, "unconditional"),
    )
    return Branches(pair)


def proxy_tuned(
    base: Any,
    expert: Any,
    antiexpert: Any,
    tokenizer: Any = None,
    alpha: float = 1.0,
    prompt: Prompt | None = None,
) -> Branches:
    """Proxy-tuning: s_base + alpha (s_expert - s_antiexpert) (Liu et al., 2024, eq. 1).

    DExperts (Liu et al., 2021, eq. 2) is the same with an expert and an anti-expert of the desired
    and of the undesired kind of text. Either of:

        proxy_tuned(base_branch, expert_branch, antiexpert_branch, alpha)
        proxy_tuned(base_model, expert_model, antiexpert_model, tokenizer, alpha, prompt)

    Args:
        base: Large pretrained model.
        expert: Small tuned model.
        antiexpert: The same small model before it was tuned.
        tokenizer: Of models that are not branches; for branches, alpha may be given in its place.
        alpha: 1 in the paper's main results.
        prompt: Of models that are not branches; the field `question` alone if None.
    """
    if isinstance(tokenizer, int | float):
        tokenizer, alpha = None, float(tokenizer)
    three = [as_branch(one, tokenizer, prompt) for one in (base, expert, antiexpert)]
    weights = (1.0, alpha, -alpha)
    names = ("base", "expert", "antiexpert")
    trios = zip(three, weights, names, strict=True)
    return Branches(tuple(replace(one, weight=w, name=name) for one, w, name in trios))


def as_branch(model: Any, tokenizer: Any, prompt: Prompt | None = None) -> Branch:
    """A branch unchanged, or one of a model and its tokenizer.

    Raises:
        TypeError: A model comes without a tokenizer.
    """
    if isinstance(model, Branch):
        return model
    if tokenizer is None:
        raise TypeError(
            f"{type(model).__name__} is not a Branch: give its tokenizer, too, or "
            "Branch(model, tokenizer, prompt)"
        )
    return Branch(model, tokenizer, Formatted("{question}") if prompt is None else prompt)


def contrastive(
    expert: Any,
    amateur: Any,
    beta: float = 0.5,
    plausible: float | None = 0.1,
    tokenizer: Any = None,
    prompt: Prompt | None = None,
) -> Branches:
    """Contrastive decoding: (1 + beta) s_expert - beta s_amateur among plausible tokens.

    Li et al., 2023, in the form of O'Brien & Lewis, 2023, eq. 3.

    Args:
        expert: Large model, or its branch.
        amateur: Small model, or its branch.
        beta: Weight of the difference between expert and amateur.
        plausible: Minimum share of the most likely token's probability; no cut if None.
        tokenizer: Of models that are not branches.
        prompt: Of models that are not branches; the field `question` alone if None.
    """
    large, small = (as_branch(one, tokenizer, prompt) for one in (expert, amateur))
    pair = (
        replace(large, weight=1 + beta, name="expert"),
        replace(small, weight=-beta, name="amateur"),
    )
    return Branches(pair, cut(WeightedSum(), plausible))


def cut(combination: Combination, plausible: float | None) -> Combination:
    """The combination, restricted to plausible tokens if a share is given."""
    return combination if plausible is None else PlausibleOnly(combination, plausible)


def mapped(branch: Branch, first: Branch) -> Branch:
    """A branch of another vocabulary, mapped to the first branch's by strings."""
    return replace(branch, mapping=map_by_string(first.tokenizer, branch.tokenizer))
