"""How documents rank by parts of the gradient, by adapters and by random projections.

Each beside the exact cosine: rank correlation over a pool of 2,000 documents, and the share of
planted documents among as many as are planted.
"""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from transformers import AutoTokenizer

from benchmarks.bench.harness import Bench
from benchmarks.claims.icl.planted import OPTIONS, PLANTED, order
from benchmarks.claims.icl.retraining import spearman, tiny_theta_0
from benchmarks.claims.icl.world import WORDS, PlantedPool, selection
from datamodules.questions.source import Question
from datamodules.synthetic.patterns.questions import PatternQuestions
from modules.causal_lm.lora import Lora, adapt
from modules.causal_lm.network import LanguageModel
from modules.icl.selection.options import GradientProjection

NUM, SEED = 2000, 402
WHOLE, CHOSEN = "all parameters", "without embeddings"
SETS: Mapping[str, Mapping[str, Any]] = {
    WHOLE: {"embeddings": True},
    CHOSEN: {},
    "without embeddings and norms": {"norms": False},
    "last of two layers, without embeddings": {"last_layers": 1},
}
"""Options of a selection."""
LINEAR = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
ADAPTERS = {
    "adapters of rank 8 at attention": Lora(rank=8),
    "adapters of rank 8 at all matrices": Lora(rank=8, targets=LINEAR),
}
PROJECTED = (64, 256, 1024)
"""Random directions that gradients without embeddings are projected on."""


def approximations(bench: Bench) -> None:
    """Cosines of every kind, on the pool and the task of icl/tiny."""
    num = 200 if bench.quick else NUM
    tokenizer, model = AutoTokenizer.from_pretrained(WORDS), tiny_theta_0()
    task = [*PatternQuestions(40 if bench.quick else 400, seed=101, topics="common").questions()]
    pool = PlantedPool.of(num, SEED, mapping=PLANTED, easy=0.01, hard=PLANTED)
    found: dict[str, Sequence[float]] = {}
    for name, options in SETS.items():
        found[name] = cosines(model, tokenizer, pool, task, options)
        bench.say(name)
    for name, lora in ADAPTERS.items():
        found[name] = cosines(adapted(model, lora), tokenizer, pool, task, {})
        bench.say(name)
    for num in PROJECTED:
        options = {"projection": GradientProjection(num, SEED)}
        found[f"{num} random projections"] = cosines(model, tokenizer, pool, task, options)
        bench.say(f"{num} random projections")
    report(bench, pool, found)


def cosines(
    model: LanguageModel,
    tokenizer: Any,
    pool: PlantedPool,
    task: Sequence[Question],
    options: Mapping[str, Any],
) -> list[float]:
    """Cosine of every document under some options."""
    _, columns = selection(model, tokenizer, pool.documents, task, replace(OPTIONS, k=1, **options))
    scores: list[float] = columns["cosine_1"]
    return scores


def adapted(model: LanguageModel, lora: Lora) -> LanguageModel:
    """The same model with adapters, which alone are trained; they change nothing yet."""
    torch.manual_seed(SEED)
    return LanguageModel(adapt(deepcopy(model.model), lora)).eval()


def report(bench: Bench, pool: PlantedPool, found: Mapping[str, Sequence[float]]) -> None:
    """The table, and rows for what a selection might use instead."""
    k = len(pool.planted)
    exact = {name: np.array(found[name]) for name in (WHOLE, CHOSEN)}
    rows, with_chosen = [], {}
    for name, values in found.items():
        related = [spearman(np.array(values), one) for one in exact.values()]
        with_chosen[name] = related[1]
        hit = pool.precision(order(values)[:k])
        rows.append([name, *(f"{one:.3f}" for one in related), f"{hit:.3f}"])
    head = ["gradient", *(f"rank correlation, {name}:" for name in exact), "planted among k:"]
    bench.details["tables"] = {"approximations": {"head": head, "rows": rows}}
    for name in ("last of two layers, without embeddings", *ADAPTERS, "1024 random projections"):
        what = f"rank correlation with the exact cosine without embeddings: {name}"
        bench.row(7, what, with_chosen[name], 0.9, at_least=True)
