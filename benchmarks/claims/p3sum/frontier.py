"""Claim 4: the frontier of stance against facts, with a stance token and with stance experts."""

from dataclasses import replace

from benchmarks.claims.p3sum.rates import Claims, Drawn, Rates
from benchmarks.claims.p3sum.rivals.experts import StanceExperts
from benchmarks.claims.p3sum.stance import others
from modules.diffusion.guidance import Guidance

TOKEN = "--model.init_args.stance_token.guide.source=assets/newsroom_guide"
SCALES = (0.0, 1.0, 1.5, 2.0, 3.0, 5.0)
"""w of guidance by the stance token."""
ALPHAS = (0.5, 1.0, 2.0, 4.0)
"""Factors on expert minus anti-expert."""
TOGETHER = ((1.0, 300.0), (2.0, 300.0))
"""w of the stance token and lambda of the classifier at once."""
BOTH = {"": "the article's stance", "other stance, ": "a stance that the article has not"}


def frontier(claims: Claims) -> None:
    """Both ways for the article's own stance and for another."""
    built = claims.train("told", TOKEN)
    batch = claims.articles(built)
    asked = batch["stance_B"], others(batch["stance_B"])
    drawn = [Drawn(built.model, batch, one) for one in asked]
    for name, one in zip(BOTH, drawn, strict=True):
        told = by_token(claims, name, one)
        best = max(told, key=lambda rates: rates["both"])
        what = f"Suc by the stance token, {BOTH[name]}, w of the most exact and kept"
        claims.bench.row(4, what, best["kept"], 0.93 if not name else 0.85, at_least=True)
    by_experts(claims, drawn)


def by_token(claims: Claims, name: str, drawn: Drawn) -> list[Rates]:
    """Summaries of a network conditioned on the stance, over w, and with a classifier on top."""
    quick, seeds = claims.bench.quick, claims.scale.seeds[:1]
    found = [
        claims.note(f"{name}stance token, w {scale:g}", drawn.rates(None, seeds, Guidance(scale)))
        for scale in (SCALES[2:3] if quick else SCALES)
    ]
    for scale, strength in TOGETHER[:1] if quick else TOGETHER:
        control = replace(drawn.system.control, strength=strength)
        rates = drawn.rates(control, seeds, Guidance(scale))
        found.append(claims.note(f"{name}stance token, w {scale:g}, lambda {strength:g}", rates))
    return found


def by_experts(claims: Claims, drawn: list[Drawn]) -> None:
    """A causal model with stance experts, all trained for the summariser's operations."""
    system, data = drawn[0].system, claims.trained["told"].datamodule
    assert system.open_stance_token is not None
    budget = claims.bench.details["training"]["told"]["tera_flops"] * 1e12
    experts = StanceExperts(system.open_stance_token, len(system.stances))
    claims.bench.say("training a causal language model and its experts")
    how = system.tokenizer, system.marks, budget, 2 if claims.bench.quick else None
    claims.bench.details["training"]["experts"] = experts.train(data, *how)
    for name, one in zip(BOTH, drawn, strict=True):
        for alpha in ALPHAS[:1] if claims.bench.quick else ALPHAS:
            for kind, seed in {"greedy": None, "top-p": 0}.items():
                texts, cost = experts.draw(one.batch, one.asked_B, seed, alpha)
                what = f"{name}stance experts, alpha {alpha:g}, {kind}"
                claims.note(what, one.read(texts, cost))
