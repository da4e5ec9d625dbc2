"""Claim 3: without self-conditioning it is worse."""

from benchmarks.claims.p3sum.rates import Claims, Drawn, ahead

OFF_SELF = "--model.init_args.self_conditioning.probability=0"


def without_conditioning(claims: Claims) -> None:
    """Claim 3: the paper's ablation."""
    found = []
    plain = claims.train("not conditioned", OFF_SELF)
    for name, built in (("conditioned", claims.summariser()), ("not conditioned", plain)):
        batch = claims.articles(built)
        drawn = Drawn(built.model, batch, batch["stance_B"])
        rates = drawn.rates(built.model.control, claims.scale.seeds)
        found.append(claims.note(f"{name}, steered", rates))
    own, off = found
    what = "Suc with self-conditioning minus without (the paper, POLITICS, table 7: 7)"
    ahead(claims.bench, 3, what, own.points(off, "kept"))
