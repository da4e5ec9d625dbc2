"""Claims 1 and 2: the article's stance kept by steering, and a stance that the article has not."""

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from benchmarks.claims.p3sum.rates import QUANTITIES, Claims, Drawn, ahead, best_of_n, lost
from benchmarks.claims.p3sum.rivals.causal import CausalSummariser
from modules.summariser.system import Summariser

STRENGTHS = (10.0, 30.0, 100.0, 300.0, 1000.0, 3000.0)


def kept_stance(claims: Claims) -> None:
    """Claims 1 and 2."""
    bench, scale = claims.bench, claims.scale
    built = claims.summariser()
    system: Summariser = built.model
    batch = claims.articles(built)
    drawn = Drawn(system, batch, batch["stance_B"])
    shipped = system.control
    free = claims.note("unguided", drawn.rates(None, scale.seeds))
    for strength in STRENGTHS[:1] if bench.quick else STRENGTHS:
        one = replace(shipped, strength=strength)
        claims.note(f"lambda {strength:g}", drawn.rates(one, scale.seeds))
    guided = claims.note("as shipped", drawn.rates(shipped, scale.seeds))
    variants = {
        "only while wrong": replace(shipped, only_while_wrong=True),
        "every 2nd step": replace(shipped, every=2),
        "margin 30": replace(shipped, strength=30.0, objective="margin"),
        "divergence 0.1": replace(shipped, divergence=0.1),
        "early half": replace(shipped, window=(0.5, 1.0)),
        "late half": replace(shipped, window=(0.0, 0.5)),
    }
    for name, one in list(variants.items())[: 1 if bench.quick else None]:
        claims.note(name, drawn.rates(one, scale.seeds[:1]))
    best = best_of_n(claims, "diffusion, best of", drawn, lambda seed: drawn.texts(None, seed))
    causal(claims, built, drawn)
    lead = [" ".join(text.split(". ")[:2]).rstrip(".") + "." for text in batch["article_B"]]
    claims.note("first two sentences", drawn.read(lead, 0.0))
    aims = {"kept": 0.93, "facts": 0.97, "exact": 0.85, "both": 0.80}
    for name, aim in aims.items():
        what = f"{QUANTITIES[name]}, steered"
        bench.row(1, what, guided[name], aim, peer=free[name], at_least=True)
    lost(bench, 1, "facts lost by steering", guided.points(free, "facts"), 1.0)
    equal = [one for one in best if one["gigaflops"] <= 1.5 * guided["gigaflops"]] or best[:1]
    rival = max(equal, key=lambda one: one["kept"])
    what = "Suc, steered minus best of n at up to 1.5 times its operations"
    ahead(bench, 1, what, guided.points(rival, "kept"), 5.0)
    other_B = others(batch["stance_B"])
    turned = Drawn(system, batch, other_B)
    claims.note("other stance, unguided", turned.rates(None, scale.seeds[:1]))
    rates = [
        claims.note(f"other stance, lambda {s:g}", turned.rates(replace(shipped, strength=s), (0,)))
        for s in STRENGTHS[-3:]
    ]
    most = max(one["kept"] for one in rates)
    bench.row(2, "stance that the article does not have, best lambda", most, 0.85, at_least=True)


def causal(claims: Claims, built: Any, drawn: Drawn) -> None:
    """A causal language model of the same size and training operations."""
    budget = claims.bench.details["training"]["summariser"]["tera_flops"] * 1e12
    model = CausalSummariser(built.model.tokenizer, built.model.marks)
    claims.bench.say("training a causal language model")
    spent = model.train(built.datamodule, budget, 2 if claims.bench.quick else None)
    claims.bench.details["training"]["causal"] = spent
    texts, cost = model.draw(drawn.batch, None)
    claims.note("causal, greedy", drawn.read(texts, cost))
    best_of_n(claims, "causal, best of", drawn, lambda seed: model.draw(drawn.batch, seed))


def others(stance_B: Tensor) -> Tensor:
    """Another stance for each article, the same in every run."""
    shift = torch.randint(1, 3, stance_B.shape, generator=torch.Generator().manual_seed(0))
    return (stance_B + shift) % 3
