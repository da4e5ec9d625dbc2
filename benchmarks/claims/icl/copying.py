"""Copying heads before and after continued pretraining, of the model, pool and task of `icl/tiny`.

Random words are read twice; what counts is how much a head attends to the word that followed the
first time, and how much the loss falls.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from statistics import fmean, stdev
from typing import Any

import numpy as np
from transformers import AutoTokenizer

from benchmarks.bench.harness import Bench
from benchmarks.claims.icl.planted import NUM, OPTIONS, PLANTED, K
from benchmarks.claims.icl.retraining import tiny_theta_0
from benchmarks.claims.icl.world import WORDS, Continued, PlantedPool, selection
from datamodules.synthetic.patterns.questions import PatternQuestions
from modules.causal_lm.network import LanguageModel
from modules.icl.analysis.copy_heads import copy_heads, repeated

LENGTH = 16
"""Tokens of a copy: two and the start are 33, of the 34 that any document has."""
ORDERS = 5
"""Orders of training, and draws of random documents."""
NAMES = ("highest", "mean", "even", "first_nats", "again_nats", "gain")
Found = Mapping[str, float]


def copying(bench: Bench) -> None:
    """One model before and after training on supportive and on random documents."""
    num = 400 if bench.quick else NUM
    tokenizer, model = AutoTokenizer.from_pretrained(WORDS), tiny_theta_0()
    asking = Copies(tokenizer, 40 if bench.quick else 400)
    pool = PlantedPool.of(num, 100, mapping=PLANTED, easy=0.01, hard=PLANTED)
    task = [*PatternQuestions(400, seed=101, topics="common").questions()]
    options = replace(OPTIONS, k=K * num // NUM)
    chosen, _ = selection(model, tokenizer, pool.documents, task, options)
    bench.say(f"selected, {pool.precision(chosen):.2f} of them planted")
    train, rng = Continued(model, asking.of), np.random.default_rng(0)
    draws: Mapping[str, Callable[[], list[int]]] = {
        "supportive": lambda: chosen,
        "random": lambda: rng.permutation(num)[: options.k].tolist(),
    }
    found: dict[str, list[Found]] = {"theta_0": [asking.of(model)]}
    for name, draw in draws.items():
        found[name] = [train.on(pool.documents, draw(), order) for order in range(ORDERS)]
        bench.say(f"{name}: {found[name]}")
    bench.details["copying"] = found
    bench.details["tables"] = {"copying": scores(found)}
    add_rows(bench, found)


class Copies:
    """What is asked of a model.

    Args:
        tokenizer: Of the model.
        num: Sequences.
    """

    def __init__(self, tokenizer: Any, num: int):
        words = sorted(set(tokenizer.get_vocab().values()) - set(tokenizer.all_special_ids))
        self.token_BL = repeated(words, LENGTH, num, tokenizer.bos_token_id, seed=906)

    def of(self, model: LanguageModel) -> dict[str, float]:
        """Scores of heads, and nats of both copies."""
        found = copy_heads(model, self.token_BL)
        return {name: getattr(found, name) for name in NAMES}


def mean(found: Sequence[Found], name: str) -> float:
    """Of a quantity, over orders."""
    return fmean(one[name] for one in found)


def scores(found: Mapping[str, Sequence[Found]]) -> dict[str, Any]:
    """Scores and losses by model."""
    rows = [
        [model, *(f"{mean(runs, name):.3f}" for name in NAMES)] for model, runs in found.items()
    ]
    head = ["highest head", "mean head", "even attention", "nats, first copy", "second", "saved"]
    return {"head": ["model", *(f"{name}:" for name in head)], "rows": rows}


def add_rows(bench: Bench, found: Mapping[str, Sequence[Found]]) -> None:
    """What training on supportive documents changes, beside training on random ones."""
    for name, what in (
        ("highest", "attention of the head that copies most to what followed the same word"),
        ("gain", "nats that a random word read before saves"),
    ):
        more = mean(found["supportive"], name) - mean(found["random"], name)
        what = f"{what}, supportive minus random"
        peer = mean(found["theta_0"], name)
        bench.row(5, what, more, 0.0, at_least=True, peer=peer)
        spread = {
            model: stdev(one[name] for one in found[model]) for model in found if model != "theta_0"
        }
        bench.details[f"deviation over orders, {name}"] = spread
