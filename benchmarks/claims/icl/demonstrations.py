"""Labels or learning: what demonstrations do before and after continued pretraining.

Accuracy at 0 to 16 demonstrations whose labels are those that facts give (`gold`), drawn for each
demonstration (`random`), those of other classes (`flipped`) or such as no fact gives
(`meaningless`). A model that only recalls facts is right with gold and random labels and wrong with
flipped ones; one that learns from demonstrations is right with flipped and meaningless ones.
Beside that, the loss early and late in a document, and bits a byte of held-out documents.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import log
from statistics import fmean, stdev
from typing import Any, get_args

import numpy as np
import torch
from transformers import AutoTokenizer

from benchmarks.bench.harness import Bench
from benchmarks.claims.icl.planted import NUM, OPTIONS, PLANTED, K, means
from benchmarks.claims.icl.world import WORDS, Continued, PlantedPool, as_batch, selection, theta_0
from datamodules.in_context.pool import DocumentPool
from datamodules.questions.source import Question
from datamodules.synthetic.patterns.questions import Labels, PatternQuestions
from modules.causal_lm.network import LanguageModel
from modules.icl.in_context import scored, summarise
from modules.icl.selection.scoring import token_losses

SEEDS = (14, 15, 16)
"""Of the models and pools, those of the planted truth."""
SHOWN = (0, 1, 2, 4, 8, 16)
"""Demonstrations in all; documents of theta_0's training hold eight units, so 16 are longer."""
ORDERS = 3
WORD, LABEL = (9, 29), (11, 31)
"""Places, from 0, of the word and the label of the third and of the eighth unit of a document:
the 10th and the 30th token, the 12th and the 32nd."""
MODELS = ("theta_0", "supportive", "random")
Found = Mapping[str, float]


def demonstrations(bench: Bench) -> None:
    """Three models, each before and after training on supportive and on random documents."""
    tokenizer = AutoTokenizer.from_pretrained(WORDS)
    asking = Inquiry(tokenizer, 40 if bench.quick else 400)
    found: dict[str, list[list[Found]]] = {name: [] for name in MODELS}
    for seed in SEEDS[:1] if bench.quick else SEEDS:
        model = theta_0(seed, 10 if bench.quick else 1500)
        bench.say(f"seed {seed}: trained theta_0")
        found["theta_0"].append([asking.of(model)])
        for name, runs in continued(bench, seed, model, tokenizer, asking).items():
            found[name].append(runs)
            bench.say(f"seed {seed}, {name}: {means(runs)}")
    bench.details["seeds"] = {name: [means(runs) for runs in some] for name, some in found.items()}
    bench.details["tables"] = {"accuracy": accuracies(found), "places": places(found)}
    add_rows(bench, found)


def continued(
    bench: Bench, seed: int, model: LanguageModel, tokenizer: Any, asking: "Inquiry"
) -> dict[str, list[Found]]:
    """What training on the selected and on random documents leads to, in several orders."""
    num, orders = (400, 1) if bench.quick else (NUM, ORDERS)
    pool = PlantedPool.of(num, 100 + seed, mapping=PLANTED, easy=0.01, hard=PLANTED)
    task = [*PatternQuestions(400, seed=300 + seed, topics="common").questions()]
    options = replace(OPTIONS, k=K * num // NUM)
    chosen, _ = selection(model, tokenizer, pool.documents, task, options)
    bench.say(f"seed {seed}: selected, {pool.precision(chosen):.2f} of them planted")
    rng = np.random.default_rng(seed)
    draws = {
        "supportive": [chosen] * orders,
        "random": [rng.permutation(num)[: options.k].tolist() for _ in range(orders)],
    }
    train = Continued(model, asking.of)
    return {
        name: [train.on(pool.documents, one, order) for order, one in enumerate(sets)]
        for name, sets in draws.items()
    }


class Inquiry:
    """What is asked of a model.

    Args:
        tokenizer: Of the model.
        num: Questions of each kind, and held-out documents of each kind.
    """

    def __init__(self, tokenizer: Any, num: int):
        self.tokenizer = tokenizer
        self.asked = {
            f"{labels}/{shown}": cut(num, labels, shown)
            for labels in get_args(Labels)
            for shown in SHOWN
        }
        self.documents = {
            "ordinary": PlantedPool.of(num, 902, mapping=0.0).documents,
            "planted": PlantedPool.of(num, 903, mapping=1.0).documents,
        }

    def of(self, model: LanguageModel) -> dict[str, float]:
        """Accuracies by labels and number, losses by place, and bits a byte."""
        found = {
            name: summarise(scored(model, self.tokenizer, as_batch(asked))).accuracy
            for name, asked in self.asked.items()
        }
        for kind, documents in self.documents.items():
            found |= {f"{kind}/{name}": one for name, one in read(model, documents).items()}
        return found


def cut(num: int, labels: Labels, shown: int) -> list[Question]:
    """Questions after exactly so many demonstrations, the first of six of each class."""
    asked = []
    for one in PatternQuestions(num, seed=905, shown=6, labels=labels, topics="common").questions():
        words = one.fields["context"].split()[: 4 * shown]
        prompt = " ".join([*words, one.fields["question"]])
        asked.append(replace(one, fields={"prompt": prompt}))
    return asked


@torch.no_grad()
def read(model: LanguageModel, documents: DocumentPool) -> dict[str, float]:
    """Nats at early and late places of documents, and bits a byte."""
    parts = []
    for start in range(0, len(documents.ids), 64):
        rows = [[n] for n in range(len(documents.ids))][start : start + 64]
        batch: Any = documents.batch(rows)
        parts.append(token_losses(model, batch).view(batch["token_BL"].shape))
    nats_NL = torch.cat(parts)
    num_bytes = sum(len(documents.text(n).encode()) for n in range(len(documents.ids)))
    found = {"bits": float(nats_NL.sum()) / log(2) / num_bytes}
    for what, at in (("word", WORD), ("label", LABEL)):
        early, late = (float(nats_NL[:, place - 1].mean()) for place in at)
        found |= {f"{what}/early": early, f"{what}/late": late}
    return found


def mean(found: Sequence[Sequence[Found]], name: str) -> float:
    """Of a quantity, over models and orders."""
    return fmean(one[name] for runs in found for one in runs)


def accuracies(found: Mapping[str, Sequence[Sequence[Found]]]) -> dict[str, Any]:
    """Accuracy by model, labels and number of demonstrations."""
    rows = [
        [model, labels, *(f"{mean(runs, f'{labels}/{shown}'):.3f}" for shown in SHOWN)]
        for labels in get_args(Labels)
        for model, runs in found.items()
    ]
    return {"head": ["model", "labels", *(f"{shown}:" for shown in SHOWN)], "rows": rows}


def places(found: Mapping[str, Sequence[Sequence[Found]]]) -> dict[str, Any]:
    """Loss by model, documents and place, and bits a byte."""
    names = ["word/early", "word/late", "label/early", "label/late", "bits"]
    rows = [
        [model, kind, *(f"{mean(runs, f'{kind}/{name}'):.3f}" for name in names)]
        for kind in ("ordinary", "planted")
        for model, runs in found.items()
    ]
    head = ["10th token (a word)", "30th", "12th (a label)", "32nd", "bits a byte"]
    return {"head": ["model", "documents", *(f"{name}:" for name in head)], "rows": rows}


def add_rows(bench: Bench, found: Mapping[str, Sequence[Sequence[Found]]]) -> None:
    """What training on supportive documents changes, beside training on random ones."""
    supportive, random, before = (found[name] for name in ("supportive", "random", "theta_0"))
    for labels in ("meaningless", "flipped"):
        name = f"{labels}/8"
        gain = mean(supportive, name) - mean(random, name)
        what = f"accuracy after 8 demonstrations with {labels} labels, supportive minus random"
        bench.row(5, what, gain, 0.04, at_least=True, peer=mean(before, name))
    if not bench.quick:
        spread = [stdev(one["meaningless/8"] for one in runs) for runs in random]
        bench.details["deviation of random over orders, meaningless/8"] = spread
    gain = mean(supportive, "meaningless/8") - mean(supportive, "meaningless/1")
    bench.row(
        5, "supportive: accuracy after 8 minus after 1, meaningless", gain, 0.0, at_least=True
    )
    lost = mean(before, "gold/0") - mean(supportive, "gold/0")
    bench.row(5, "accuracy without demonstrations lost, supportive", lost, 0.02)
    drop = {
        m: mean(r, "planted/label/early") - mean(r, "planted/label/late") for m, r in found.items()
    }
    what = (
        "nats that a label of a planted document gets easier from 12th to 32nd token, supportive "
    )
    gain = drop["supportive"] - drop["random"]
    bench.row(5, what + "minus random", gain, 0.0, at_least=True, peer=drop["theta_0"])
    more = mean(supportive, "ordinary/bits") - mean(before, "ordinary/bits")
    bench.row(5, "bits a byte of held-out ordinary documents gained, supportive", more, 0.02)
