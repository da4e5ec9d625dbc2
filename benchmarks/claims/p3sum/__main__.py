"""P^3Sum's claims at laptop scale: `python -m benchmarks.claims.p3sum`.

On synthetic news an exact reader knows the facts and the stance of every text, and half of the
training summaries change the stance of their article.

1. A summariser steered by a classifier keeps the article's stance, at hardly any cost in facts
   (configs/p3sum/tiny.yaml): against no steering, best of n of the same model chosen by the same
   classifier, a causal language model of the same size and training operations with best of n,
   and the first two sentences.
2. It is steered to a stance that the article does not have.
3. Without self-conditioning it is worse (the paper's ablation).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from benchmarks.bench.harness import Bench, run
from benchmarks.claims.p3sum.causal import CausalSummariser
from benchmarks.claims.training import bare, fit
from datamodules.synthetic.newsroom.reader import NewsroomMeasures
from engine.measure.flops import FlopCounter
from modules.causal_lm.tokens.padding import padded
from modules.summariser.batch import ArticleBatch
from modules.summariser.control import Control, Steering
from modules.summariser.generate import SummarySampler
from modules.summariser.system import Summariser

CONFIG = Path(__file__).parents[3] / "configs" / "p3sum" / "tiny.yaml"
PARTS = ("stance", "conditioning")
QUANTITIES = {
    "facts": "facts right",
    "exact": "known sentence and every fact right",
    "kept": "stance kept (Suc)",
    "both": "exact and stance kept",
}
"""What the reader's measures are called in the table."""
STRENGTHS = (10.0, 30.0, 100.0, 300.0, 1000.0, 3000.0)
OFF_SELF = "--model.init_args.self_conditioning.probability=0"


@dataclass(frozen=True)
class Scale:
    """How much is trained and drawn.

    Attributes:
        num_steps: Steps of the summariser; None takes the config's own.
        num_articles: Held-out articles.
        seeds: Of generation.
        most: Largest n of best of n.
    """

    num_steps: int | None
    num_articles: int
    seeds: tuple[int, ...]
    most: int


FULL = Scale(None, 256, (0, 1, 2), 8)
QUICK = Scale(2, 4, (0,), 2)
Rates = dict[str, float]
"""Means of the reader's measures, and `gigaflops` a summary."""


class Claims:
    """The claims, on one trained summariser.

    Args:
        bench: Receives the rows.
    """

    def __init__(self, bench: Bench):
        self.bench = bench
        self.scale = QUICK if bench.quick else FULL
        self.frontier: dict[str, Rates] = {}
        bench.details["frontier"] = self.frontier
        bench.details["training"] = {}

    def train(self, name: str, *overrides: str) -> Any:
        """Fit tiny.yaml as the command line would."""
        self.bench.say(f"training {name}")
        built = bare(CONFIG, self.scale.num_steps, "--model.init_args.num_drawn=0", *overrides)
        minutes, losses = fit(built)
        batch = next(iter(built.datamodule.train_dataloader()))
        with FlopCounter() as counter:
            built.model.training_loss(batch).backward()
        built.model.zero_grad()
        steps = built.trainer.global_step
        self.bench.details["training"][name] = {
            "steps": steps,
            "minutes": minutes,
            "tera_flops": steps * counter.total / 1e12,
            "loss": losses["loss"],
        }
        return built

    def articles(self, built: Any) -> ArticleBatch:
        """Held-out articles in one batch."""
        data = built.datamodule
        data.setup("test")
        data.limit = self.scale.num_articles
        data.eval_batch_size = self.scale.num_articles
        batch: ArticleBatch = next(iter(data.test_dataloader()))
        return batch

    def note(self, name: str, rates: Rates) -> Rates:
        """Keep and show one point of the frontier."""
        self.frontier[name] = rates
        shown = ", ".join(f"{key} {rates[key]:.3f}" for key in (*QUANTITIES, "gigaflops"))
        self.bench.say(f"{name}: {shown}")
        return rates


class Drawn:
    """Draws summaries of the same articles in many ways.

    Args:
        system: The summariser.
        batch: The articles.
        asked_B: Stance that is wanted of each.
    """

    def __init__(self, system: Summariser, batch: ArticleBatch, asked_B: Tensor):
        self.system, self.batch, self.asked_B = system, batch, asked_B
        self.steering = system.steering
        assert self.steering is not None

    def texts(self, control: Control | None, seed: int) -> tuple[list[str], float]:
        """Summaries under a control, None for none, and gigaflops a summary."""
        system, batch = self.system, self.batch
        steering = None if control is None else Steering(control, self.guides)
        how = replace(system.generation, seed=seed)
        fixed = system.simplex, system.schedule, system.self_conditioning, how
        sampler = SummarySampler(system.denoiser, *fixed, batch["summary_BS"].shape[1], steering)
        with FlopCounter() as counter:
            token_BS = sampler.draw(
                batch["article_BC"], batch["article_mask_BC"], self.asked_B, batch["id_B"]
            )
        texts = [system.marks.text(system.tokenizer, row) for row in token_BS.tolist()]
        return texts, counter.total / len(texts) / 1e9

    @property
    def guides(self) -> Any:
        """The classifiers of the config."""
        assert self.steering is not None
        return self.steering.guides

    def rates(self, control: Control | None, seeds: Sequence[int]) -> Rates:
        """Means over seeds of generation."""
        drawn = [self.texts(control, seed) for seed in seeds]
        rows = [self.read(texts) | {"gigaflops": cost} for texts, cost in drawn]
        return {name: sum(row[name] for row in rows) / len(rows) for name in rows[0]}

    def read(self, texts: Sequence[str]) -> Rates:
        """What the exact reader says of summaries."""
        names = self.system.names(self.asked_B)
        found = NewsroomMeasures().score(
            [
                SimpleNamespace(question={"article": article, "asked": asked}, text=text)
                for article, asked, text in zip(self.batch["article_B"], names, texts, strict=True)
            ]
        )
        return {name: sum(some) / len(some) for name, some in found.items() if some}

    def best_of(self, drawn: Sequence[Sequence[str]], costs: Sequence[float]) -> Rates:
        """The summaries that the guide thinks most likely of the wanted stance."""
        score_NB = torch.stack([self.wanted(texts) for texts in drawn])
        best_B = score_NB.argmax(0).tolist()
        texts = [drawn[n][b] for b, n in enumerate(best_B)]
        return self.read(texts) | {"gigaflops": sum(costs)}

    @torch.no_grad()
    def wanted(self, texts: Sequence[str]) -> Tensor:
        """Log-probability of the wanted stance of each text, by the guide, [B]."""
        [guide] = self.guides
        known, marks = self.system.tokenizer, self.system.marks
        rows = [known(text, add_special_tokens=False)["input_ids"] for text in texts]
        rows = [[marks.start, *row, marks.end] for row in rows]
        token, mask = padded(rows, left=False, pad=marks.pad)
        log_p_BK = guide.network(token, mask.bool()).log_softmax(-1)
        found: Tensor = log_p_BK.gather(1, self.asked_B[:, None])[:, 0]
        return found


def others(stance_B: Tensor) -> Tensor:
    """Another stance for each article, the same in every run."""
    shift = torch.randint(1, 3, stance_B.shape, generator=torch.Generator().manual_seed(0))
    return (stance_B + shift) % 3


def kept_stance(claims: Claims) -> None:
    """Claims 1 and 2."""
    bench, scale = claims.bench, claims.scale
    built = claims.train("summariser")
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
    claims.note("first two sentences", drawn.read(lead) | {"gigaflops": 0.0})
    aims = {"kept": 0.93, "facts": 0.97, "exact": 0.85, "both": 0.80}
    for name, aim in aims.items():
        what = f"{QUANTITIES[name]}, steered"
        bench.row(1, what, guided[name], aim, peer=free[name], at_least=True)
    bench.row(1, "facts lost by steering", free["facts"] - guided["facts"], 0.01)
    equal = [one for one in best if one["gigaflops"] <= 1.5 * guided["gigaflops"]] or best[:1]
    rival = max(one["kept"] for one in equal)
    gain = 100 * (guided["kept"] - rival)
    what = "Suc, steered minus best of n at up to 1.5 times its operations, points"
    bench.row(1, what, gain, 5.0, peer=100 * rival, at_least=True)
    other_B = others(batch["stance_B"])
    turned = Drawn(system, batch, other_B)
    claims.note("other stance, unguided", turned.rates(None, scale.seeds[:1]))
    rates = [
        claims.note(f"other stance, lambda {s:g}", turned.rates(replace(shipped, strength=s), (0,)))
        for s in STRENGTHS[-3:]
    ]
    most = max(one["kept"] for one in rates)
    bench.row(2, "stance that the article does not have, best lambda", most, 0.85, at_least=True)


def best_of_n(
    claims: Claims, name: str, drawn: Drawn, draw: Callable[[int], tuple[list[str], float]]
) -> list[Rates]:
    """Best of 1, 2, 4, ... by the guide."""
    made = [draw(100 + seed) for seed in range(claims.scale.most)]
    found, num = list[Rates](), 1
    while num <= claims.scale.most:
        texts, costs = zip(*made[:num], strict=True)
        found.append(claims.note(f"{name} {num}", drawn.best_of(texts, costs)))
        num *= 2
    return found


def causal(claims: Claims, built: Any, drawn: Drawn) -> None:
    """A causal language model of the same size and training operations."""
    budget = claims.bench.details["training"]["summariser"]["tera_flops"] * 1e12
    model = CausalSummariser(built.model.tokenizer, built.model.marks)
    claims.bench.say("training a causal language model")
    spent = model.train(built.datamodule, budget, 2 if claims.bench.quick else None)
    claims.bench.details["training"]["causal"] = spent
    texts, cost = model.draw(drawn.batch, None)
    claims.note("causal, greedy", drawn.read(texts) | {"gigaflops": cost})
    best_of_n(claims, "causal, best of", drawn, lambda seed: model.draw(drawn.batch, seed))


def without_conditioning(claims: Claims) -> None:
    """Claim 3: the paper's ablation."""
    found = []
    for name, more in (("conditioned", ()), ("not conditioned", (OFF_SELF,))):
        built = claims.train(name, *more)
        batch = claims.articles(built)
        drawn = Drawn(built.model, batch, batch["stance_B"])
        rates = drawn.rates(built.model.control, claims.scale.seeds)
        found.append(claims.note(f"{name}, steered", rates))
    own, off = found
    what = "Suc with self-conditioning minus without, points"
    bench, paper = claims.bench, "54.36 against 47.36 (POLITICS, table 7)"
    gain = 100 * (own["kept"] - off["kept"])
    bench.row(3, what, gain, 0.0, at_least=True, paper=paper)


def measure(bench: Bench) -> None:
    """Stance kept by steering, against what else could keep it; 20 minutes of a core."""
    claims = Claims(bench)
    if bench.wants("stance"):
        kept_stance(claims)
    if bench.wants("conditioning"):
        without_conditioning(claims)


if __name__ == "__main__":
    run("claims.p3sum", measure, parts=PARTS)
