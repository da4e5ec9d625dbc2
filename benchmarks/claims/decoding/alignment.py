"""In-context alignment: are retrieved demonstrations better than random ones, and by how much?

A small Llama learns tasks whose answers have a format that only the demonstrations reveal, and is
asked in formats that training never showed (`synthetic_tasks`). Every topic has a format of its
own, so a demonstration helps where it is of the question's topic; BM25 finds those by their words.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random as Chance
from string import printable
from typing import Any

from benchmarks.bench.harness import Bench
from benchmarks.claims.decoding.small_llama import Recipe, TrainedLlama, train, written
from benchmarks.claims.decoding.synthetic_tasks import (
    TEMPLATE,
    TOPICS,
    Grade,
    World,
    episode,
    world,
)
from benchmarks.claims.decoding.word_tokens import Spelled, spell, tokenizer_of
from benchmarks.claims.resampling import gain, rate
from modules.decoding.alignment import Demonstrated, InContextAlignment
from modules.decoding.branches.branches import Branch, Branches
from modules.decoding.decoder import Decoder
from modules.prompting.retrieval import BM25, Random

QUESTION, GAP = "Question:", "\n\n"
ANSWER = f"{GAP}Here\u2019s an example answer:"
KINDS = ("list", "ends", "first", "add")
Finder = type[BM25] | type[Random]
RETRIEVERS: dict[str, Finder] = {"random": Random, "retrieved": BM25}
STRANGE = 0.25
"""Share of a training text's demonstrations of other topics, as a retriever may return them."""
COUNTS = (0, 1, 2, 4)
"""Demonstrations of the exam; a lesson has the largest number, and asks after each."""
RECIPE = Recipe(width=128, num_layers=4, num_heads=4, context=256, num_steps=1600, batch_size=16)
MAX_ANSWER = 32
GAIN = 0.1
"""Required gain of retrieved demonstrations in exact match."""
MINUTES = 20.0
"""Ten minutes on two cores."""
PAPER = "win rate 11.4 without, 62.9 random, 78.4 retrieved"


@dataclass(frozen=True)
class Scale:
    """Sizes of training and evaluation.

    Attributes:
        num_steps: Training steps; the recipe's if None.
        num_worlds: Worlds of the exam.
        num_pooled: Demonstrations of each topic in a world's pool.
        num_asked: Questions of each topic.
    """

    num_steps: int | None
    num_worlds: int
    num_pooled: int
    num_asked: int


FULL = Scale(None, 4, 8, 3)
QUICK = Scale(2, 1, 4, 1)
Grades = list[Grade]


def words() -> list[str]:
    """All tokens of the tasks: the template in whole words, everything else in letters."""
    frame = (QUESTION, GAP, ANSWER, *(f" {topic}:" for topic in TOPICS))
    return [*frame, *(f" {kind}" for kind in KINDS), *printable.strip(), " "]


def lesson(tokenizer: Any, index: int) -> Spelled:
    """Lesson number `index`: an episode, some of whose demonstrations are of other topics.

    Its answers and what follows them are asked, but not its questions, and nothing of strangers,
    whose format nothing reveals.
    """
    random = Chance(f"lesson {index}")
    own = episode(0, index, max(COUNTS))
    pieces: list[tuple[str, bool]] = []
    for index_shown, one in enumerate((*own.shown, own.asked)):
        other = episode(1 + index_shown, index, 1).asked
        is_strange = index_shown < len(own.shown) and random.random() < STRANGE
        is_strange = is_strange and other.origin != one.origin
        shown = other if is_strange else one
        question = TEMPLATE.render([], shown.prompt, None)
        pieces.append((question.removeprefix(QUESTION) if pieces else question, False))
        pieces.append((f" {shown.response}{GAP}{QUESTION}", not is_strange))
    return spell(tokenizer, pieces)


def aligned(one: World, retriever: Finder | None, num: int) -> InContextAlignment:
    """In-context alignment for the questions of a world.

    Args:
        one: Demonstrations and questions.
        retriever: Retrieves demonstrations; none are shown if None.
        num: Number of demonstrations shown.
    """
    return InContextAlignment(one.pool, retriever, TEMPLATE, num_candidates=max(1, num))


def kinship(tokenizer: Any, one: World, alignment: InContextAlignment) -> list[float]:
    """Share of each question's demonstrations that are of its topic."""
    topics = {shown.prompt: shown.origin for shown in one.pool.demonstrations}
    prompts = alignment.aligned([{"prompt": task.prompt} for task in one.questions], tokenizer)
    return [
        sum(topics[shown.prompt] == task.topic for shown in prompt.shown)
        / max(1, len(prompt.shown))
        for task, prompt in zip(one.questions, prompts, strict=True)
    ]


def grades(model: Any, tokenizer: Any, one: World, alignment: InContextAlignment) -> Grades:
    """Grades of greedy answers to the questions of a world."""
    decoder = Decoder(Branches((Branch(model, tokenizer, Demonstrated(alignment)),)))
    questions = [{"prompt": task.prompt} for task in one.questions]
    texts = written(decoder, questions, max_new_tokens=MAX_ANSWER, stop=alignment.stops)
    return [one.grade(task, text) for task, text in zip(one.questions, texts, strict=True)]


def learn(bench: Bench, scale: Scale, tokenizer: Any) -> TrainedLlama:
    """The trained model; its cost is recorded."""
    steps = scale.num_steps or max(1, round(RECIPE.num_steps * bench.size))
    recipe = replace(RECIPE, num_steps=steps)

    def text(index: int) -> Spelled:
        return lesson(tokenizer, index)

    trained = train(recipe, len(tokenizer), text, bench.say)
    bench.details["alignment"] = trained.details()
    return trained


def measure(bench: Bench) -> None:
    """Exact match by retriever and number of demonstrations, in formats never seen."""
    scale = QUICK if bench.quick else FULL
    tokenizer = tokenizer_of(words())
    model = learn(bench, scale, tokenizer).model
    worlds = [world(s, scale.num_pooled, scale.num_asked) for s in range(scale.num_worlds)]
    found: dict[tuple[str, int], Grades] = {}
    of_topic: dict[str, float] = {}
    for name, num in [("none", 0), *((name, n) for n in COUNTS if n for name in RETRIEVERS)]:
        found[name, num], kin = [], []
        for one in worlds:
            alignment = aligned(one, RETRIEVERS.get(name), num)
            found[name, num] += grades(model, tokenizer, one, alignment)
            kin += kinship(tokenizer, one, alignment)
        of_topic[f"{num} {name}"] = sum(kin) / len(kin)
        bench.say(f"{num} {name}: {stated(found[name, num])}")
    bench.details["alignment"]["demonstrations of the topic"] = of_topic
    report(bench, found)


def stated(grades: Sequence[Grade]) -> dict[str, str]:
    """Shares of answers by which part is right."""
    return {name: str(rate([getattr(one, name) for one in grades])) for name in Grade._fields}


def report(bench: Bench, found: Mapping[tuple[str, int], Grades]) -> None:
    """Rows and details."""
    right = {key: [one.is_right for one in grades] for key, grades in found.items()}
    bench.details["alignment"] |= {
        "questions": len(right["none", 0]),
        "shares": {f"{num} {name}": stated(grades) for (name, num), grades in found.items()},
    }
    most = max(COUNTS)
    ends = right["random", most], right["retrieved", most]
    what = f"exact match in new formats, {most} demonstrations, retrieved less random"
    what += f" ({rate(ends[1]).median:.3f} - {rate(ends[0]).median:.3f})"
    bench.row(3, what, gain(*ends), GAIN, at_least=True, paper=PAPER)
    bench.row(3, "exact match without a demonstration", rate(right["none", 0]), 0.05)
    minutes = bench.details["alignment"]["processor minutes"]
    bench.row(3, "processor minutes of training, two cores together", minutes, MINUTES)
