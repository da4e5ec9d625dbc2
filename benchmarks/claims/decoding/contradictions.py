"""Context-aware decoding: does a context override memorised facts, and at what cost?

A small Llama memorises facts (`synthetic_facts`) and reads contexts, few of which contradict them.
It is asked about facts that training never contradicted, under contexts that do:

    (1 + alpha) s(y | context, question) - alpha s(y | question)
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any, NamedTuple, get_args

from benchmarks.bench.harness import Bench
from benchmarks.claims.decoding.small_llama import Recipe, TrainedLlama, train, written
from benchmarks.claims.decoding.synthetic_facts import (
    FactQuestion,
    Kind,
    SyntheticFacts,
    draw_kind,
    make_facts,
)
from benchmarks.claims.decoding.word_tokens import END, Spelled, spell, tokenizer_of
from benchmarks.claims.resampling import gain, rate
from modules.decoding.branches.branches import Branches, context_aware
from modules.decoding.decoder import Decoder
from modules.prompting.format import Formatted

KINDS: tuple[Kind, ...] = get_args(Kind)
CONTRADICTING = (0.05, 0.07, 0.1)
"""Shares of contradicting contexts in training; each trains a model, from one that trusts its
memory to one that trusts most contexts."""
WITH, WITHOUT = Formatted("{context} {question}"), Formatted("{question}")
RECIPE = Recipe(width=96, num_layers=3, num_heads=4, context=64, num_steps=700, batch_size=64)
MAX_ANSWER = 4
GAIN = 0.1
"""Required gain of context-aware decoding in exact match."""
LOSS = 0.05
"""Maximum loss where nothing is contradicted."""
PAPER = "NQ-Swap 11.7 -> 36.7, MemoTrap 23.8 -> 57.1 (LLaMA-13B)"


class Setting(NamedTuple):
    """How the branches are combined.

    Attributes:
        alpha: Weight of the context.
        is_adaptive: Whether alpha is computed at every token (AdaCAD).
        plausible: Minimum share of the most likely token's probability; no cut if None.
    """

    alpha: float
    is_adaptive: bool = False
    plausible: float | None = None


SETTINGS = {f"alpha {alpha:g}": Setting(alpha) for alpha in (0, 0.25, 0.5, 1, 1.5, 2)} | {
    "adaptive": Setting(0, is_adaptive=True),
    "alpha 1, plausible 0.1": Setting(1, plausible=0.1),
}


@dataclass(frozen=True)
class Scale:
    """Sizes of training and evaluation.

    Attributes:
        num_lands: Number of lands, each with a fact of every relation.
        num_steps: Training steps; the recipe's if None.
        num_contexts: Contexts of each kind for each held-out fact.
        shares: Of contradicting contexts.
    """

    num_lands: int
    num_steps: int | None
    num_contexts: int
    shares: tuple[float, ...]


FULL = Scale(50, None, 2, CONTRADICTING)
QUICK = Scale(2, 2, 1, CONTRADICTING[:1])
Answers = dict[Kind, list[str]]


def shares(contradicting: float) -> dict[Kind, float]:
    """Shares of the contexts of training; contradicting ones replace agreeing ones."""
    return {
        "none": 0.22,
        "irrelevant": 0.22,
        "agreeing": 0.26 - contradicting,
        "unheard": 0.3,
        "contradicting": contradicting,
    }


def lesson(tokenizer: Any, facts: SyntheticFacts, contradicting: float, index: int) -> Spelled:
    """Training text `index`; the loss is on its answer.

    Args:
        tokenizer: Of the model.
        facts: The facts to memorise.
        contradicting: Share of contexts that contradict.
        index: Index of the text.
    """
    random = Random(f"lesson {index}")
    kind = draw_kind([*shares(contradicting).items()], random)
    fact = random.choice(facts.open if kind == "contradicting" else facts.all)
    case = facts.case(kind, fact, random)
    return spell(tokenizer, [(WITH(case.fields, tokenizer), False), (f" {case.answer}{END}", True)])


def exam(facts: SyntheticFacts, num_contexts: int) -> dict[Kind, list[FactQuestion]]:
    """Questions about every held-out fact, by kind of context; the contexts are new."""
    random = Random("exam")
    asked = facts.held_out * num_contexts
    return {kind: [facts.case(kind, fact, random) for fact in asked] for kind in KINDS}


def answers(branches: Branches, cases: Sequence[FactQuestion]) -> list[str]:
    """Answers of greedy decoding."""
    asked = [case.fields for case in cases]
    found = written(Decoder(branches), asked, max_new_tokens=MAX_ANSWER)
    return [text.strip() for text in found]


def right(cases: Sequence[FactQuestion], texts: Sequence[str]) -> list[bool]:
    """Whether each answer is exactly the right one."""
    return [case.answer == text for case, text in zip(cases, texts, strict=True)]


def memorised(cases: Sequence[FactQuestion], texts: Sequence[str]) -> list[bool]:
    """Whether each answer is the memorised one, whatever the context says."""
    return [case.fact.name == text for case, text in zip(cases, texts, strict=True)]


def learn(
    bench: Bench, scale: Scale, tokenizer: Any, facts: SyntheticFacts, share: float
) -> TrainedLlama:
    """The model trained with a share of contradicting contexts; its cost is recorded."""
    steps = scale.num_steps or max(1, round(RECIPE.num_steps * bench.size))
    recipe = replace(RECIPE, num_steps=steps)
    bench.say(f"trains on {share:.0%} contradicting contexts")
    trained = train(recipe, len(tokenizer), lambda i: lesson(tokenizer, facts, share, i), bench.say)
    bench.details[named(share)] = {
        "facts": len(facts.all),
        "held-out facts": len(facts.held_out),
        "shares of contexts in training": shares(share),
        **trained.details(),
    }
    return trained


def named(share: float) -> str:
    """Name of a share of contradicting contexts in results."""
    return f"{share:.0%} contradicting"


def measure(bench: Bench) -> None:
    """Exact match by alpha and kind of context, for models that trust contexts more or less."""
    scale = QUICK if bench.quick else FULL
    facts = make_facts(scale.num_lands)
    tokenizer = tokenizer_of(facts.words)
    cases = exam(facts, scale.num_contexts)
    for share in scale.shares:
        model = learn(bench, scale, tokenizer, facts, share).model
        found: dict[str, Answers] = {}
        for name, setting in SETTINGS.items():
            branches = context_aware(model, tokenizer, WITH, WITHOUT, *setting)
            found[name] = {kind: answers(branches, asked) for kind, asked in cases.items()}
            matched = {kind: rate(right(cases[kind], found[name][kind])).median for kind in KINDS}
            bench.say(f"{named(share)}, {name}: exact match {matched}")
        report(bench, share, cases, found)


def report(
    bench: Bench,
    share: float,
    cases: Mapping[Kind, Sequence[FactQuestion]],
    found: Mapping[str, Answers],
) -> None:
    """Rows and details of one model."""
    matches = {
        name: {kind: right(cases[kind], texts[kind]) for kind in KINDS}
        for name, texts in found.items()
    }
    kept = bench.details[named(share)]
    kept["questions of each kind"] = len(cases["none"])
    kept["exact match"] = {
        name: {kind: vars(rate(one)) for kind, one in of.items()} for name, of in matches.items()
    }
    kept["by heart under contradicting contexts"] = {
        name: vars(rate(memorised(cases["contradicting"], texts["contradicting"])))
        for name, texts in found.items()
    }
    plain, aware = matches["alpha 0"], matches["alpha 1"]
    ends = [rate(one["contradicting"]).median for one in (plain, aware)]
    what = f"{named(share)}: exact match under such contexts, alpha 1 less alpha 0"
    what += f" ({ends[1]:.3f} - {ends[0]:.3f})"
    value = gain(plain["contradicting"], aware["contradicting"])
    bench.row(2, what, value, GAIN, at_least=True, paper=PAPER)
    bench.row(
        2, f"{named(share)}: exact match without context", rate(plain["none"]), 0.98, at_least=True
    )
    for kind in ("agreeing", "irrelevant"):
        lost = gain(aware[kind], plain[kind])
        bench.row(2, f"{named(share)}: exact match lost at alpha 1, {kind} contexts", lost, LOSS)
