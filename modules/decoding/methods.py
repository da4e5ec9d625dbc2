"""Decoding methods that a config names; each loads models and makes branches of them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from modules.decoding.alignment import Demonstrated, InContextAlignment
from modules.decoding.branches.branches import (
    Branch,
    Branches,
    context_aware,
    contrastive,
    mapped,
    proxy_tuned,
)
from modules.decoding.branches.combination import WeightedSum
from modules.decoding.pretrained import Pretrained
from modules.prompting.format import ChatPrompt, Formatted
from modules.prompting.question import Prompt

Wording = str | Formatted | ChatPrompt
"""A prompt; a plain text is a formatted one."""


class DecodingMethod(Protocol):
    """A decoding method."""

    @property
    def stops(self) -> list[str]:
        """Strings that end an answer."""

    def load(self) -> Branches:
        """Load the models and make branches of them."""


def worded(prompt: Wording) -> Prompt:
    """A text as a formatted prompt; others unchanged."""
    return Formatted(prompt) if isinstance(prompt, str) else prompt


@dataclass(frozen=True)
class Plain:
    """A single model.

    Attributes:
        model: Is loaded.
        prompt: Its prompt.
        stops: Strings that end an answer.
    """

    model: Pretrained
    prompt: Wording = "{question}"
    stops: list[str] = field(default_factory=list)

    def load(self) -> Branches:
        """One branch."""
        model, tokenizer = self.model.load()
        return Branches((Branch(model, tokenizer, worded(self.prompt)),))


@dataclass(frozen=True)
class ContextAware:
    """Context-aware decoding (Shi et al., 2024).

    Attributes:
        model: Is loaded once and reads both prompts in one batch.
        with_context: Prompt of context and question.
        without_context: Prompt of the question alone.
        alpha: How much the context counts; 0.5 for summaries, 1 against what was learnt.
        adaptive: Whether alpha is found at every token (AdaCAD).
        plausible: Least share of the most likely token's probability; no cut where None.
        stops: Strings that end an answer.
    """

    model: Pretrained
    with_context: Wording = "{context} {question}"
    without_context: Wording = "{question}"
    alpha: float = 0.5
    adaptive: bool = False
    plausible: float | None = None
    stops: list[str] = field(default_factory=list)

    def load(self) -> Branches:
        """Two branches of one model."""
        model, tokenizer = self.model.load()
        prompts = worded(self.with_context), worded(self.without_context)
        return context_aware(model, tokenizer, *prompts, self.alpha, self.adaptive, self.plausible)


@dataclass(frozen=True)
class ProxyTuned:
    """Proxy-tuning (Liu et al., 2024); DExperts with other experts.

    Attributes:
        base: Large model.
        expert: Small tuned model.
        antiexpert: The small model before it was tuned.
        prompt: Prompt of base and anti-expert.
        expert_prompt: The expert's; the same where None.
        alpha: Weight of what the expert says beyond the anti-expert.
        map_vocabularies: Whether experts of another vocabulary are mapped by strings of tokens.
        stops: Strings that end an answer.
    """

    base: Pretrained
    expert: Pretrained
    antiexpert: Pretrained
    prompt: Wording = "{question}"
    expert_prompt: Wording | None = None
    alpha: float = 1.0
    map_vocabularies: bool = False
    stops: list[str] = field(default_factory=list)

    def load(self) -> Branches:
        """Three branches; models that are named twice are loaded once."""
        prompt = worded(self.prompt)
        tuned = prompt if self.expert_prompt is None else worded(self.expert_prompt)
        names = (self.base, self.expert, self.antiexpert)
        base, expert, anti = branches_of(names, (prompt, tuned, prompt))
        if self.map_vocabularies:
            expert, anti = mapped(expert, base), mapped(anti, base)
        return proxy_tuned(base, expert, anti, self.alpha)


@dataclass(frozen=True)
class Contrastive:
    """Contrastive decoding (Li et al., 2023; O'Brien & Lewis, 2023).

    Attributes:
        expert: Large model.
        amateur: Small model.
        prompt: Of both.
        beta: Weight of what the expert says beyond the amateur.
        plausible: Least share of the expert's most likely token's probability; no cut where None.
        stops: Strings that end an answer.
    """

    expert: Pretrained
    amateur: Pretrained
    prompt: Wording = "{question}"
    beta: float = 0.5
    plausible: float | None = 0.1
    stops: list[str] = field(default_factory=list)

    def load(self) -> Branches:
        """Two branches."""
        prompt = worded(self.prompt)
        expert, amateur = branches_of((self.expert, self.amateur), (prompt, prompt))
        return contrastive(expert, amateur, self.beta, self.plausible)


@dataclass(frozen=True)
class Weighted:
    """A branch of any weighted sum.

    Attributes:
        model: Is loaded once for all branches that name it.
        weight: Of its logits.
        prompt: Its prompt.
    """

    model: Pretrained
    weight: float
    prompt: Wording = "{question}"


@dataclass(frozen=True)
class AnySum:
    """Any weighted sum of branches: several experts, guidance, mixtures.

    Attributes:
        branches: The first gives the vocabulary.
        stops: Strings that end an answer.
    """

    branches: list[Weighted]
    stops: list[str] = field(default_factory=list)

    def load(self) -> Branches:
        """The branches."""
        names = [one.model for one in self.branches]
        made = branches_of(names, [worded(one.prompt) for one in self.branches])
        pairs = zip(made, self.branches, strict=True)
        return Branches(
            tuple(Branch(b.model, b.tokenizer, b.prompt, one.weight) for b, one in pairs),
            WeightedSum(),
        )


class InContext:
    """In-context alignment (Han, 2023).

    Args:
        model: Untuned model.
        alignment: Finds demonstrations and packs them before the question.
    """

    def __init__(self, model: Pretrained, alignment: InContextAlignment):
        self.model = model
        self.alignment = alignment

    @property
    def stops(self) -> list[str]:
        """Where the next question would begin."""
        return self.alignment.stops

    def load(self) -> Branches:
        """One branch."""
        model, tokenizer = self.model.load()
        return Branches((Branch(model, tokenizer, Demonstrated(self.alignment)),))


def branches_of(names: Sequence[Pretrained], prompts: Sequence[Prompt]) -> list[Branch]:
    """Branches of models; each is loaded once."""
    loaded: dict[Pretrained, tuple[Any, Any]] = {}
    for one in names:
        if one not in loaded:
            loaded[one] = one.load()
    return [Branch(*loaded[one], prompt) for one, prompt in zip(names, prompts, strict=True)]
