"""Gradients find the documents that teach learning in context, and training on them teaches it.

Everything is confirmed on seeds that no choice was made by: three models, each with its own pools.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean, stdev
from typing import Any

import numpy as np
from transformers import AutoTokenizer

from benchmarks.bench.harness import Bench
from benchmarks.claims.icl.text_scores import by_words
from benchmarks.claims.icl.world import (
    WORDS,
    Continued,
    Measures,
    PlantedPool,
    selection,
    theta_0,
)
from datamodules.synthetic.patterns.questions import PatternQuestions
from modules.causal_lm.network import LanguageModel
from modules.icl.selection.options import SelectionOptions

SEEDS = (14, 15, 16)
NUM, PLANTED = 8000, 0.05
"""Documents of a pool, and the share of them that have a structure."""
K = 400
"""Documents that are trained on: as many as are planted."""
ORDERS = 5
"""Orders of training, and draws of random documents."""
OPTIONS = SelectionOptions(
    k=K, iterations=1, embeddings=False, rows_per_batch=32, task_rows_per_batch=40
)
OPTIONS = replace(OPTIONS, learning_rate=2e-4, documents_per_step=4)
ITERATED = replace(OPTIONS, k=K // 4, iterations=4)
PAPER = "OPT-6.7B, SST-2: 75.5 before, 83.2 supportive, 75.9 random"
Ranking = list[int]
"""Indices of documents, the best first."""


@dataclass(frozen=True)
class Task:
    """Whose gradient documents are compared with.

    Attributes:
        name: What it is called in the results.
        topics: Topics that it asks about; pools are about those that are `seen`.
    """

    name: str
    topics: Any


TASKS = (Task("task of all topics", "common"), Task("task of other topics", "held_out"))


def planted(bench: Bench) -> None:
    """The planted truth: precision of scores, and what training on the selected does."""
    seeds = SEEDS[:1] if bench.quick else SEEDS
    tokenizer = AutoTokenizer.from_pretrained(WORDS)
    measures = Measures(tokenizer, 40 if bench.quick else 400)
    precision: dict[str, list[float]] = {}
    after: dict[str, list[list[Mapping[str, float]]]] = {}
    for seed in seeds:
        model = theta_0(seed, 10 if bench.quick else 1500)
        before = measures.of(model)
        bench.say(f"seed {seed}: {before}")
        after.setdefault("before", []).append([before])
        world = World(bench, seed, model, tokenizer, measures)
        for name, value in world.precisions().items():
            precision.setdefault(name, []).append(value)
        for name, found in world.trained().items():
            after.setdefault(name, []).append(found)
    bench.details["precision"] = {n: {"mean": fmean(v), "seeds": v} for n, v in precision.items()}
    bench.details["after"] = {name: summary(found) for name, found in after.items()}
    add_rows(bench, precision, after)


class World:
    """One model with its pools.

    Args:
        bench: Shows progress.
        seed: Of the pools.
        model: theta_0.
        tokenizer: Its tokenizer.
        measures: What is asked after training.
    """

    def __init__(
        self, bench: Bench, seed: int, model: LanguageModel, tokenizer: Any, measures: Measures
    ):
        self.bench, self.seed, self.model, self.tokenizer = bench, seed, model, tokenizer
        self.num = 400 if bench.quick else NUM
        self.k = round(K * self.num / NUM)
        decoys = {"mapping": PLANTED, "easy": 0.01, "hard": PLANTED}
        self.pool = PlantedPool.of(self.num, 100 + seed, **decoys)
        self.stress = PlantedPool.of(self.num, 200 + seed, **decoys, shuffled=PLANTED)
        self.continued = Continued(model, measures.of)
        self.chosen: dict[str, Ranking] = {}

    def precisions(self) -> dict[str, float]:
        """Share of planted documents among the first k of each ranking."""
        found: dict[str, float] = {"random": PLANTED}
        for task in TASKS:
            for name, ranking in self.by_gradients(task).items():
                self.chosen[f"{name}, {task.name}"] = ranking[: self.k]
        by_task = {f"BM25, {t.name}": self.by_words(t) for t in TASKS}
        for name, ranking in {**self.by_loss, **by_task}.items():
            self.chosen[name] = ranking[: self.k]
        for name, chosen in self.chosen.items():
            found[name] = self.pool.precision(chosen)
        found |= self.of_stress()
        self.bench.say(f"seed {self.seed}: {found}")
        return found

    def by_gradients(self, task: Task) -> dict[str, Ranking]:
        """Rankings by products of gradients, and by cosines in several sets of parameters."""
        plain, columns = self.select(self.pool, task, OPTIONS)
        whole, _ = self.select(self.pool, task, replace(OPTIONS, embeddings=True))
        several, _ = self.select(self.pool, task, ITERATED)
        self.by_loss = {
            "high loss": order(columns["loss"]),
            "low loss": order([-one for one in columns["loss"]]),
            "gradient norm": order(columns["norm"]),
        }
        return {
            "cosine": plain,
            "cosine, all parameters": whole,
            "cosine, four iterations": several,
            "product": order(columns["product_1"]),
        }

    def select(
        self, pool: PlantedPool, task: Task, options: SelectionOptions
    ) -> tuple[Ranking, dict[str, Any]]:
        """Selected documents, the best first, and their scores."""
        options = replace(options, k=max(1, round(options.k * self.num / NUM)))
        asked = [*PatternQuestions(400, seed=300 + self.seed, topics=task.topics).questions()]
        return selection(self.model, self.tokenizer, pool.documents, asked, options)

    def by_words(self, task: Task) -> Ranking:
        """Ranking by BM25, the words of all prompts of the task as one query."""
        asked = PatternQuestions(400, seed=300 + self.seed, topics=task.topics).questions()
        documents = self.pool.documents
        texts = [documents.text(n) for n in range(len(documents.ids))]
        return order(by_words(texts, [one.fields["prompt"] for one in asked]))

    def of_stress(self) -> dict[str, float]:
        """Where as many decoys have the labels of a mapping in a wrong order.

        These have the words and the loss of the planted ones under theta_0, so that a score which
        follows either cannot tell them apart.
        """
        found = {}
        decoys = [n for n, kind in enumerate(self.stress.kinds) if kind == "shuffled"]
        for task in TASKS:
            chosen, columns = self.select(self.stress, task, OPTIONS)
            found[f"cosine, shuffled decoys, {task.name}"] = self.stress.precision(chosen)
            pairs = self.stress.planted, decoys
            for name in ("cosine_1", "loss"):
                what = f"planted above shuffled by {name}, {task.name}"
                found[what] = better(columns[name], *pairs)
        return found

    def trained(self) -> dict[str, list[Mapping[str, float]]]:
        """What each order of training on each choice of documents leads to."""
        names = [f"cosine, {task.name}" for task in TASKS]
        names += [
            f"cosine, four iterations, {TASKS[0].name}",
            f"BM25, {TASKS[0].name}",
            "high loss",
        ]
        sets = {name: [self.chosen[name]] * ORDERS for name in names}
        sets["oracle"] = [self.pool.planted] * ORDERS
        rng = np.random.default_rng(self.seed)
        sets["random"] = [rng.permutation(self.num)[: self.k].tolist() for _ in range(ORDERS)]
        found = {}
        for name, draws in sets.items():
            few = draws[:1] if self.bench.quick else draws
            runs = [self.continued.on(self.pool.documents, d, n) for n, d in enumerate(few)]
            found[name] = runs
            self.bench.say(f"seed {self.seed}, {name}: {means(runs)}")
        return found


def order(scores: Sequence[float]) -> Ranking:
    """Indices, the highest score first."""
    return sorted(range(len(scores)), key=lambda n: (-scores[n], n))


def better(scores: Sequence[float], first: Sequence[int], second: Sequence[int]) -> float:
    """How often a document of the first kind scores higher than one of the second (AUC)."""
    high, low = np.array(scores)[list(first)], np.array(scores)[list(second)]
    return float((high[:, None] > low).mean() + (high[:, None] == low).mean() / 2)


def means(runs: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Mean of every quantity."""
    return {name: round(fmean(one[name] for one in runs), 4) for name in runs[0]}


def summary(by_seed: Sequence[Sequence[Mapping[str, float]]]) -> dict[str, Any]:
    """Mean over models and orders, and the deviation over orders, averaged over models."""
    found: dict[str, Any] = {"seeds": [means(runs) for runs in by_seed]}
    found["mean"] = means([one for runs in by_seed for one in runs])
    if all(len(runs) > 1 for runs in by_seed):
        spread = [stdev(one["in_context"] for one in runs) for runs in by_seed]
        found["deviation of in_context over orders"] = fmean(spread)
    return found


def add_rows(
    bench: Bench,
    precision: Mapping[str, Sequence[float]],
    after: Mapping[str, Sequence[Sequence[Mapping[str, float]]]],
) -> None:
    """The table: precision, gains over random documents, and what is lost."""
    wide, other = (task.name for task in TASKS)
    for what, goal in ((f"cosine, all parameters, {wide}", 0.4), (f"cosine, {wide}", 0.55)):
        found = fmean(precision[what])
        bench.row(1, f"planted among k: {what}", found, goal, at_least=True, peer=PLANTED)
    for what, goal in ((f"cosine, all parameters, {other}", 0.4), (f"cosine, {other}", 0.55)):
        found = fmean(precision[what])
        bench.row(1, f"planted among k: {what}", found, goal, at_least=True, peer=PLANTED)
    best = max(fmean(precision[name]) for name in (f"BM25, {wide}", "high loss", "gradient norm"))
    found = fmean(precision[f"cosine, {wide}"])
    bench.row(1, "planted among k beyond BM25, loss and norm", found - best, 0.2, at_least=True)
    mean = {name: means([one for runs in found for one in runs]) for name, found in after.items()}
    supportive, random, before = mean[f"cosine, {wide}"], mean["random"], mean["before"]
    gain = supportive["in_context"] - random["in_context"]
    bench.row(
        2, "in-context accuracy, supportive minus random", gain, 0.04, at_least=True, paper=PAPER
    )
    if not bench.quick:
        deviation = fmean(stdev(one["in_context"] for one in runs) for runs in after["random"])
        bench.row(2, "the same in deviations of random", gain / deviation, 1.0, at_least=True)
    gain = supportive["in_context"] - before["in_context"]
    bench.row(2, "in-context accuracy, supportive minus before", gain, 0.04, at_least=True)
    gain = mean[f"cosine, {other}"]["in_context"] - random["in_context"]
    bench.row(2, f"supportive minus random, {other}", gain, 0.04, at_least=True)
    lost = before["facts"] - supportive["facts"]
    bench.row(3, "facts without demonstrations lost", lost, 0.02)
    more = supportive["ordinary_loss"] - before["ordinary_loss"]
    bench.row(3, "nats a token of ordinary documents gained", more, 0.08)
