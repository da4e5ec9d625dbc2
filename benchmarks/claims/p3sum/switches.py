"""Claim 6: what the options of training and generation change, each on its own.

All are tiny.yaml but for one option, trained for half of its steps; a row's differences compare one
seed of training and of generation.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from benchmarks.claims.p3sum.rates import Claims, Drawn, Rates, ahead
from callbacks.ema import EMA
from modules.decoding.evaluate import Answered
from modules.summariser.evaluate import Length
from modules.summariser.steering.control import Control
from modules.summariser.steering.guide import Sees
from modules.summariser.system import Summariser

HALF = "--trainer.max_steps=600"
MODEL = "--model.init_args"
AVERAGED = '--trainer.callbacks=[{"class_path": "callbacks.ema.EMA", "init_args": {"decay": 0.99}}]'
EVEN = "modules.diffusion.schedule.EvenSchedule"
MASKED = (
    f"{MODEL}.process=modules.summariser.processes.masked.Masked",
    f"{MODEL}.schedule={EVEN}",
    f"{MODEL}.schedule.init_args.num_steps=5000",
    f"{MODEL}.noising.power=1.0",
)
"""Masked diffusion as its paper has it: uniform times, each step hides the same share."""
NUM_STEPS = (5, 10, 20, 50, 100, 1000)
STRENGTHS = (30.0, 3000.0)
"""Of steering masked diffusion, beside the config's own."""


class Switch:
    """A trained summariser, drawn from with one thing changed at a time.

    Args:
        claims: Receive what is found.
        name: What was trained.
        options: Overrides of tiny.yaml.
    """

    def __init__(self, claims: Claims, name: str, *options: str):
        self.claims, self.name = claims, name
        built = claims.train(name, *options, *([] if claims.bench.quick else [HALF]))
        self.built, self.batch = built, claims.articles(built)
        self.system: Summariser = built.model
        self.generation, self.control = self.system.generation, self.system.control
        if claims.bench.quick:
            self.generation = replace(self.generation, num_steps=2)

    def rates(self, what: str, sees: Sees | None = None, **generation: Any) -> Rates:
        """What is read of steered summaries, their lengths included.

        Args:
            what: Is changed.
            sees: What the guide reads; as the config has it where None.
            generation: Options of generation.
        """
        guides = self.control.guides
        if sees is not None:
            guides = [replace(one, sees=sees) for one in guides]
        return self.drawn(what, replace(self.control, guides=guides), **generation)

    def drawn(self, what: str, control: Control | None, **generation: Any) -> Rates:
        """The same under a control; None for none."""
        self.system.control = control or self.control  # whose guides are loaded
        self.system.generation = replace(self.generation, **generation)
        drawn = Drawn(self.system, self.batch, self.batch["stance_B"])
        texts, cost = drawn.texts(control, seed=0)
        rates = Rates(drawn.scores(texts) | self.lengths(texts), gigaflops=cost)
        return self.claims.note(f"{self.name}, {what}", rates)

    def lengths(self, texts: Sequence[str]) -> dict[str, list[float]]:
        """Error of the length of each summary in words, and whether it is empty."""
        pairs = zip(texts, self.batch["reference_B"], strict=True)
        return Length().score([Answered({}, text, [known]) for text, known in pairs])


def switches(claims: Claims) -> None:
    """Claim 6."""
    base = Switch(claims, "whole", AVERAGED)
    plain = base.rates("steered")
    free = base.drawn("unsteered", None)
    found = base.rates("conditioned on guided logits", carried="guided")
    compare(claims, "both", "conditioned on unguided minus guided logits", plain, found)
    found = base.rates("guide sees the article too", sees="article_and_summary")
    compare(claims, "both", "guide sees the summary alone minus the article too", plain, found)
    averaged(claims, base, plain)
    masked(claims, plain, free)
    blocks(claims, plain)
    lengths(claims, plain)
    other = Switch(claims, "logits averaged", f"{MODEL}.self_conditioning.form=logits")
    found = other.rates("steered")
    compare(claims, "both", "averaged probabilities minus averaged logits", plain, found)
    steps(claims, base, plain)


def compare(claims: Claims, name: str, what: str, ours: Rates, others: Rates) -> None:
    """A row: how many points the default is ahead."""
    ahead(claims.bench, 6, f"{what}, {name}", ours.points(others, name))


def steps(claims: Claims, base: Switch, plain: Rates) -> None:
    """Quality over steps of generation."""
    own = base.generation.num_steps
    found = {
        num: plain if num == own else base.rates(f"{num} steps", num_steps=num)
        for num in (NUM_STEPS[:1] if claims.bench.quick else NUM_STEPS)
    }
    most = found[max(found)]
    compare(claims, "both", f"{own} steps minus {max(found)}", plain, most)


def averaged(claims: Claims, base: Switch, plain: Rates) -> None:
    """The weights' moving average against the last weights of the same run."""
    trainer = base.built.trainer
    [ema] = [one for one in trainer.callbacks if isinstance(one, EMA)]
    ema.on_test_start(trainer, base.system)
    found = base.rates("averaged weights")
    ema.on_test_end(trainer, base.system)
    compare(claims, "both", "averaged weights minus the last ones", found, plain)


def lengths(claims: Claims, plain: Rates) -> None:
    """What decides the length."""
    other = Switch(claims, "no loss on padding", f"{MODEL}.learn_padding=false")
    ways: Mapping[str, bool] = {"as it comes": False, "padding after the end mark": True}
    claims.bench.row(6, "words too many or too few, loss on padding", plain["length_error"], 1.0)
    for what, is_closed in ways.items():
        found = other.rates(what, pads_after_end=is_closed)
        named = f"words too many or too few, no loss on padding, {what}"
        claims.bench.row(6, named, found["length_error"], 1.0, peer=plain["length_error"])


def blocks(claims: Claims, plain: Rates) -> None:
    """Blocks of 8 and 4, at the same number of passes and at the same number a block."""
    for size in (8, 4):
        other = Switch(claims, f"blocks of {size}", f"{MODEL}.block_size={size}")
        num = other.generation.num_steps
        fewer = max(1, num * size // other.batch["summary_BS"].shape[1])
        other.drawn("unsteered", None)
        other.rates(f"{num} steps a block")
        found = other.rates(f"{fewer} steps a block", num_steps=fewer)
        what = f"whole minus blocks of {size} at equal passes"
        compare(claims, "both", what, plain, found)


def masked(claims: Claims, plain: Rates, free: Rates) -> None:
    """Masked diffusion on the same network, at equal passes."""
    other = Switch(claims, "masked", *MASKED)
    unsteered = other.drawn("unsteered", None)
    found = other.rates("steered")
    for strength in STRENGTHS[: 1 if claims.bench.quick else None]:
        control = replace(other.control, strength=strength)
        other.drawn(f"lambda {strength:g}", control)
    other.rates("20 steps", num_steps=min(20, other.generation.num_steps))
    compare(claims, "exact", "simplex minus masked, unsteered, equal passes", free, unsteered)
    compare(claims, "both", "simplex minus masked, steered, equal passes", plain, found)
