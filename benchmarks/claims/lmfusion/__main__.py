"""LMFusion's claims at laptop scale: `python -m benchmarks.claims.lmfusion`.

1. Held-out combinations of colour and form, which no training image shows, are generated and
   captioned correctly (`configs/lmfusion/tiny.yaml`).
2. The language model stays bit-identical, while a dense one forgets (sec. 5.1).
3. Deep separation is better than shallow, and shallow than none, at equal steps (sec. 5.1).
4. At half the FLOPs, LMFusion generates and captions images better than Transfusion trained from
   scratch (sec. 4.4).
"""

from collections.abc import Sequence
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
from datamodules.synthetic.shapes.scenes import Scene, scene
from datamodules.synthetic.stories.source import story
from modules.lmfusion.system import LMFusion

NETWORK = "--model.init_args.network.init_args"
BASE = "assets/captions_llama"
DENSE = (f"{NETWORK}.separation=none", f"{NETWORK}.freeze_text=false")
PARTS = ("tiny", "separation", "forgetting")
"""Parts for `--part`: claims 1 and the first half of 2; 3 and 4; the second half of 2."""
AIMS = {1: 0.8, 2: 0.5}
"""Share of scenes with every attribute right, by the number of shapes."""
CAPTION_AIM = 0.8
MINUTES = 5.0


@dataclass(frozen=True)
class Scale:
    """How much is trained and generated.

    Attributes:
        num_steps: Steps of tiny.yaml; None takes the config's own.
        num_compared: Steps of the runs that are compared at equal steps.
        num_scenes: Held-out scenes of one shape, and as many of two.
        num_seeds: Sampling seeds for the first claim; the others use one.
        num_pool: Training images among which the nearest one is searched.
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
    """The four claims, measured one after the other.

    Args:
        bench: Receives the rows.
    """

    def __init__(self, bench: Bench):
        self.bench = bench
        self.scale = scale = QUICK if bench.quick else FULL
        self.scenes = {num: held_out(num, scale.num_scenes) for num in AIMS}
        self.texts = {
            "captions": [numbered_caption(7, index) for index in range(scale.num_texts)],
            "stories": [story(7, index) for index in range(scale.num_texts)],
        }

    def fit(self, name: str, config: str, num_steps: int | None, *overrides: str) -> Trained:
        """Train, and record steps, FLOPs, minutes and validation losses."""
        self.bench.say(f"{name}: training {config} {' '.join(overrides)}")
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
        """Generate and caption the held-out scenes; perplexity of captions and stories.

        Args:
            name: Key of the results in the benchmark's details.
            trained: The model to evaluate.
            num_seeds: Sampling seeds; rates are means over them.

        Returns:
            By the number of shapes: rates of generated images, the share of each seed with
            everything right, and the share of exact captions. Perplexities by kind of text.
        """
        drawn: dict[int, Rates] = {}
        all_right: dict[int, list[float]] = {}
        described: dict[int, float] = {}
        for num_shapes, scenes in self.scenes.items():
            by_seed = [compare(scenes, draw(trained.system, scenes, s)) for s in range(num_seeds)]
            drawn[num_shapes] = mean(by_seed)
            all_right[num_shapes] = [rates["all"] for rates in by_seed]
            described[num_shapes] = share_described(trained, scenes)
            summary = ", ".join(f"{what} {rate:.3f}" for what, rate in drawn[num_shapes].items())
            share = f"captioned exactly {described[num_shapes]:.3f}"
            self.bench.say(f"{name}: {num_shapes} shapes generated: {summary}; {share}")
        results: dict[str, Any] = {
            "drawn": drawn,
            "all_of_each_seed": all_right,
            "described": described,
            "perplexity": self.perplexities(trained.system),
        }
        self.bench.say(f"{name}: perplexity {results['perplexity']}")
        self.bench.details[name] |= results
        return results

    def perplexities(self, system: LMFusion) -> dict[str, float]:
        """Perplexity per token of captions and of stories."""
        return {kind: perplexity(system, texts) for kind, texts in self.texts.items()}

    def held_out_pairs(self) -> dict[str, Any]:
        """Claim 1 and the first half of claim 2, on the model of tiny.yaml."""
        tiny = self.fit("tiny", "tiny", self.scale.num_steps)
        results = self.evaluate("tiny", tiny, self.scale.num_seeds)
        pool = [scene(0, index) for index in range(self.scale.num_pool)]
        for num_shapes in AIMS:
            rate = share_described(tiny, seen_pairs(num_shapes, self.scale.num_scenes))
            self.bench.details[f"seen pairs described exactly, {num_shapes}"] = rate
            self.bench.say(f"tiny: {num_shapes} shapes, seen pairs captioned exactly {rate:.3f}")
        for num_shapes, scenes in self.scenes.items():
            near = nearest(scenes, pool)
            self.bench.details[f"nearest training picture, {num_shapes}"] = near
            self.bench.details[f"chance, {num_shapes}"] = chance(scenes, pool)
            rates = results["drawn"][num_shapes]
            what, aim = (
                f"held-out, {num_shapes} drawn all right ({stated(rates)})",
                AIMS[num_shapes],
            )
            self.bench.row(1, what, rates["all"], aim, peer=near["all"], at_least=True)
        described = float(np.mean([*results["described"].values()]))
        self.bench.row(1, "held-out described exactly", described, CAPTION_AIM, at_least=True)
        self.bench.row(1, "minutes of training", tiny.minutes, MINUTES)
        texts = [text for texts in self.texts.values() for text in texts]
        different = num_different(tiny.system, BASE, texts)
        self.bench.row(2, "text logits that training changed", different, 0, paper="0")
        return results

    def forgetting(self) -> None:
        """Claim 2: perplexity of a fully fine-tuned dense model, against the frozen one's."""
        frozen = train("tiny", 1).system  # its text path is the base model
        base = self.perplexities(frozen)
        for ratio in (1.0, 0.1):
            name = f"dense, text rate {ratio:g}"
            options = (*DENSE, f"--model.init_args.text_ratio={ratio}")
            trained = self.fit(name, "tiny", self.scale.num_compared, *options)
            tuned = self.evaluate(name, trained)["perplexity"]
            what = f"story perplexity, LMFusion's / that of dense at text rate {ratio:g}"
            paper = {1.0: "HellaSwag 7 points below", 0.1: "2 points below"}[ratio]
            self.bench.row(2, what, base["stories"] / tuned["stories"], 1.0, paper=paper)

    def separation(self) -> Trained:
        """Claim 3: deep, shallow and no separation at equal steps; returns the deep model."""
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

    def half_the_flops(self, deep: Trained) -> None:
        """Claim 4: Transfusion from scratch gets twice the FLOPs of the deep model."""
        flops_a_step = train("transfusion_tiny", 1).flops
        steps = round(2 * deep.flops / flops_a_step)
        scratch = self.fit("transfusion", "transfusion_tiny", steps)
        theirs, ours = self.evaluate("transfusion", scratch), self.bench.details["deep"]
        ratio = deep.losses["image"] / scratch.losses["image"]
        at = f"LMFusion's at {deep.flops / scratch.flops:.2f} of the FLOPs / Transfusion's"
        self.bench.row(4, f"image loss, {at}", ratio, 1.0, paper="FID 13.9 / 14.4")
        perplexity_ratio = ours["perplexity"]["captions"] / theirs["perplexity"]["captions"]
        self.bench.row(
            4, f"caption perplexity, {at}", perplexity_ratio, 1.0, paper="HellaSwag 60.0, 51.0"
        )
        for num_shapes in self.scenes:
            rate, peer = (model["drawn"][num_shapes]["all"] for model in (ours, theirs))
            what = f"{num_shapes} drawn all right, LMFusion at half the FLOPs"
            self.bench.row(4, what, rate, peer, peer=peer, at_least=True)


def share_described(trained: Trained, scenes: Sequence[Scene]) -> float:
    """Share of scenes that a model captions exactly."""
    pairs = zip(scenes, write(trained.system, scenes), strict=True)
    return float(np.mean([is_right(*pair) for pair in pairs]))


def stated(rates: Rates) -> str:
    """Rates of colour, form and place, for the text of a row."""
    return ", ".join(f"{name} {rates[name]:.3f}" for name in ("colour", "form", "place"))


def measure(bench: Bench) -> None:
    """LMFusion's claims on captioned shapes; at most 45 minutes on two cores."""
    claims = Claims(bench)
    if bench.wants("tiny"):
        claims.held_out_pairs()
    if bench.wants("separation"):
        claims.half_the_flops(claims.separation())
    if bench.wants("forgetting"):
        claims.forgetting()


if __name__ == "__main__":
    run("claims.lmfusion", measure, parts=PARTS)
