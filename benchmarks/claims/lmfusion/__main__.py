"""LMFusion's claims at laptop scale: `python -m benchmarks.claims.lmfusion`.

1. Held-out pairs of colour and form are drawn and described as asked, though pictures of them were
   never seen (`configs/lmfusion/tiny.yaml`).
2. The language model is unchanged to the last bit, where a dense one forgets (sec. 5.1).
3. Deep separation is better than shallow, shallow than none, at equal steps (sec. 5.1).
4. At half the operations LMFusion draws and reads better than Transfusion from scratch (sec. 4.4).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.bench.harness import Bench, run
from benchmarks.claims.lmfusion.read_back import (
    Rates,
    chance,
    compare,
    draw,
    held_out,
    is_right,
    mean,
    nearest,
    seen_pairs,
    write,
)
from benchmarks.claims.training import Trained, num_different, perplexity, train
from datamodules.synthetic.shapes.captions import numbered_caption
from datamodules.synthetic.shapes.scenes import scene
from datamodules.synthetic.stories.source import story

NETWORK = "--model.init_args.network.init_args"
BASE = "assets/captions_llama"
DENSE = (f"{NETWORK}.separation=none", f"{NETWORK}.freeze_text=false")
PARTS = ("tiny", "separation", "forgetting")
"""What can be measured alone: claims 1 and the first half of 2; 3 and 4; the second half of 2."""
AIMS = {1: 0.8, 2: 0.5}
"""All right, with one shape and with two."""
CAPTION_AIM = 0.8
MINUTES = 5.0


@dataclass(frozen=True)
class Scale:
    """How much is trained and drawn.

    Attributes:
        num_steps: Steps of tiny.yaml; None takes the config's own.
        num_compared: Steps of what is compared at equal steps.
        num_scenes: Held-out scenes of one shape, and as many of two.
        num_seeds: Sampling seeds of the first claim; the others take one.
        num_pool: Training pictures among which the nearest one is looked for.
        num_texts: Captions and stories for perplexity.
    """

    num_steps: int | None
    num_compared: int
    num_scenes: int
    num_seeds: int
    num_pool: int
    num_texts: int


FULL = Scale(None, 800, 250, 3, 20000, 100)
QUICK = Scale(3, 2, 4, 1, 200, 2)


class Claims:
    """The four claims, one after the other.

    Args:
        bench: Takes the rows.
    """

    def __init__(self, bench: Bench):
        self.bench = bench
        self.scale = scale = QUICK if bench.quick else FULL
        self.scenes = {number: held_out(number, scale.num_scenes) for number in AIMS}
        self.texts = {
            "captions": [numbered_caption(7, index) for index in range(scale.num_texts)],
            "stories": [story(7, index) for index in range(scale.num_texts)],
        }

    def fit(self, name: str, config: str, num_steps: int | None, *overrides: str) -> Trained:
        """Train, and keep what it took."""
        self.bench.say(f"{name}: trains {config} {' '.join(overrides)}")
        trained = train(config, num_steps, *overrides)
        self.bench.details[name] = {
            "config": config,
            "overrides": overrides,
            "steps": trained.num_steps,
            "tera_flops": trained.flops / 1e12,
            "minutes": trained.minutes,
            "validation": trained.losses,
        }
        took = f"{trained.num_steps} steps, {trained.minutes:.1f} minutes"
        self.bench.say(f"{name}: {took}, {trained.flops / 1e12:.1f} TFLOP, {trained.losses}")
        return trained

    def evaluate(self, name: str, trained: Trained, num_seeds: int = 1) -> dict[str, Any]:
        """Draw and describe the held-out scenes, and read text."""
        found: dict[str, Any] = {"drawn": {}, "all_of_each_seed": {}, "described": {}}
        for number, scenes in self.scenes.items():
            drawn = [compare(scenes, draw(trained.system, scenes, s)) for s in range(num_seeds)]
            found["drawn"][number] = mean(drawn)
            found["all_of_each_seed"][number] = [one["all"] for one in drawn]
            pairs = zip(scenes, write(trained.system, scenes), strict=True)
            found["described"][number] = float(np.mean([is_right(*pair) for pair in pairs]))
            told = ", ".join(f"{what} {rate:.3f}" for what, rate in mean(drawn).items())
            self.bench.say(
                f"{name}: {number} drawn: {told}; described {found['described'][number]}"
            )
        found["perplexity"] = {
            what: perplexity(trained.system, texts) for what, texts in self.texts.items()
        }
        self.bench.say(f"{name}: perplexity {found['perplexity']}")
        self.bench.details[name] |= found
        return found

    def held_out_pairs(self) -> dict[str, Any]:
        """Claims 1 and, of its first half, 2: what tiny.yaml draws, describes and leaves alone."""
        tiny = self.fit("tiny", "tiny", self.scale.num_steps)
        found = self.evaluate("tiny", tiny, self.scale.num_seeds)
        pool = [scene(0, index) for index in range(self.scale.num_pool)]
        seen = {number: seen_pairs(number, self.scale.num_scenes) for number in AIMS}
        for number, scenes in seen.items():
            pairs = zip(scenes, write(tiny.system, scenes), strict=True)
            rate = float(np.mean([is_right(*pair) for pair in pairs]))
            self.bench.details[f"seen pairs described exactly, {number}"] = rate
            self.bench.say(f"tiny: {number}, seen pairs described exactly {rate:.3f}")
        for number, scenes in self.scenes.items():
            near, any_one = nearest(scenes, pool), chance(scenes, pool)
            self.bench.details[f"nearest training picture, {number}"] = near
            self.bench.details[f"chance, {number}"] = any_one
            rates = found["drawn"][number]
            what = f"held-out, {number} drawn all right ({stated(rates)})"
            self.bench.row(1, what, rates["all"], AIMS[number], peer=near["all"], at_least=True)
        described = float(np.mean([*found["described"].values()]))
        self.bench.row(1, "held-out described exactly", described, CAPTION_AIM, at_least=True)
        self.bench.row(1, "minutes of training", tiny.minutes, MINUTES)
        texts = [text for some in self.texts.values() for text in some]
        different = num_different(tiny.system, BASE, texts)
        self.bench.row(2, "text logits that training changed", different, 0, paper="0")
        return found

    def forgetting(self) -> None:
        """Claim 2: perplexity of a dense model tuned on everything, beside the frozen one's."""
        frozen = train("tiny", 1).system  # its text path is the base
        base = {what: perplexity(frozen, texts) for what, texts in self.texts.items()}
        for ratio in (1.0, 0.1):
            name = f"dense, text rate {ratio:g}"
            options = (*DENSE, f"--model.init_args.text_ratio={ratio}")
            trained = self.fit(name, "tiny", self.scale.num_compared, *options)
            tuned = self.evaluate(name, trained)["perplexity"]
            what = f"story perplexity, LMFusion's / that of dense at text rate {ratio:g}"
            paper = {1.0: "HellaSwag 7 points below", 0.1: "2 points below"}[ratio]
            self.bench.row(2, what, base["stories"] / tuned["stories"], 1.0, paper=paper)

    def separation(self) -> Trained:
        """Claim 3: deep, shallow and none at equal steps; returns the deep one."""
        errors, deep = {}, None
        for kind in ("deep", "shallow", "none"):
            option = f"{NETWORK}.separation={kind}"
            trained = self.fit(kind, "tiny", self.scale.num_compared, option)
            self.evaluate(kind, trained)
            errors[kind] = trained.losses["image"]
            deep = deep or trained
        for better, worse in (("deep", "shallow"), ("shallow", "none")):
            ratio = errors[better] / errors[worse]
            paper = "deep < shallow < dense, by curves"
            self.bench.row(3, f"image loss, {better} / {worse}", ratio, 1.0, paper=paper)
        assert deep is not None
        return deep

    def half_the_operations(self, deep: Trained) -> None:
        """Claim 4: the baseline from scratch gets twice the operations of the deep one."""
        one = train("transfusion_tiny", 1)
        steps = round(2 * deep.flops / one.flops)
        scratch = self.fit("transfusion", "transfusion_tiny", steps)
        theirs, ours = self.evaluate("transfusion", scratch), self.bench.details["deep"]
        ratio = deep.losses["image"] / scratch.losses["image"]
        at = f"LMFusion's at {deep.flops / scratch.flops:.2f} of the FLOPs / Transfusion's"
        self.bench.row(4, f"image loss, {at}", ratio, 1.0, paper="FID 13.9 / 14.4")
        words = ours["perplexity"]["captions"] / theirs["perplexity"]["captions"]
        self.bench.row(4, f"caption perplexity, {at}", words, 1.0, paper="HellaSwag 60.0, 51.0")
        for number in self.scenes:
            rates = [one["drawn"][number]["all"] for one in (ours, theirs)]
            what = f"{number} drawn all right, LMFusion at half the FLOPs"
            self.bench.row(4, what, rates[0], rates[1], peer=rates[1], at_least=True)


def stated(rates: Rates) -> str:
    """Colour, form and place of a row."""
    return ", ".join(f"{name} {rates[name]:.3f}" for name in ("colour", "form", "place"))


def measure(bench: Bench) -> None:
    """What LMFusion claims, on captioned shapes; at most 45 minutes on two cores."""
    claims = Claims(bench)
    if bench.wants("tiny"):
        claims.held_out_pairs()
    if bench.wants("separation"):
        claims.half_the_operations(claims.separation())
    if bench.wants("forgetting"):
        claims.forgetting()


if __name__ == "__main__":
    run("claims.lmfusion", measure, parts=PARTS)
