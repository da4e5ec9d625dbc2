"""What the parts share: trained summarisers, summaries in many ways, and what is read of them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from statistics import fmean
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from benchmarks.bench.harness import Bench
from benchmarks.bench.timing import MedianInterval
from benchmarks.claims.resampling import gain
from benchmarks.claims.training import bare, fit
from datamodules.synthetic.newsroom.reader import NewsroomMeasures
from engine.measure.flops import FlopCounter
from modules.causal_lm.tokens.padding import padded
from modules.diffusion.guidance import Guidance
from modules.summariser.batch import ArticleBatch
from modules.summariser.generate import SummarySampler
from modules.summariser.steering.control import Control, Steering
from modules.summariser.system import Summariser

CONFIG = Path(__file__).parents[3] / "configs" / "p3sum" / "tiny.yaml"
QUANTITIES = {
    "facts": "facts right",
    "exact": "known sentence and every fact right",
    "kept": "stance kept (Suc)",
    "both": "exact and stance kept",
}
"""What the reader's measures are called in the table."""


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


COUNTED = 16
"""Batches over which operations are averaged."""
FULL = Scale(None, 256, (0, 1, 2), 8)
QUICK = Scale(2, 4, (0,), 2)
SOME = 0.1
"""Points that are more than none: less than one article of all."""


class Rates(dict[str, float]):
    """Means over articles by measure, and what else is known, such as `gigaflops` a summary.

    Args:
        scores: Value of each article by measure, in the order of the articles.
        more: What is no mean over articles.

    Attributes:
        scores: The same.
    """

    def __init__(self, scores: Mapping[str, Sequence[float]], **more: float):
        super().__init__({name: fmean(some) for name, some in scores.items() if some} | more)
        self.scores = scores

    def points(self, other: "Rates", name: str) -> MedianInterval:
        """Points by which a mean is above another's of the same articles, with its interval.

        It is over articles: what another seed of training would change is not in it.
        """
        pair = (other.scores[name], self.scores[name])
        return gain(*([100 * one for one in some] for some in pair))


def ahead(bench: Bench, row: int, what: str, found: MedianInterval, least: float = SOME) -> None:
    """A row of points that are gained: met where the lower end of the interval is at least that.

    The estimate alone would call half of all differences met that are none.

    Args:
        bench: Receives the row.
        row: Number of the claim.
        what: Is gained.
        found: How much, with its interval.
        least: How much it should be.
    """
    what = f"{what}, points, lower end of 95 % (others: the estimate)"
    bench.row(row, what, found.low, least, peer=found.median, at_least=True)


def lost(bench: Bench, row: int, what: str, found: MedianInterval, most: float) -> None:
    """A row of points that are lost, from those gained: met where the upper end is at most that."""
    what = f"{what}, points, upper end of 95 % (others: the estimate)"
    bench.row(row, what, -found.low, most, peer=-found.median)


class Claims:
    """What the parts work with.

    Args:
        bench: Receives the rows.
    """

    def __init__(self, bench: Bench):
        self.bench = bench
        self.scale = QUICK if bench.quick else FULL
        self.frontier: dict[str, Rates] = {}
        bench.details["frontier"] = self.frontier
        self.trained: dict[str, Any] = {}
        bench.details["training"] = {}

    def summariser(self) -> Any:
        """What tiny.yaml describes, fitted; the same for all parts of a run."""
        return self.trained.get("summariser") or self.train("summariser")

    def train(self, name: str, *overrides: str) -> Any:
        """Fit tiny.yaml, changed, as the command line would."""
        self.bench.say(f"training {name}")
        built = bare(CONFIG, self.scale.num_steps, "--model.init_args.num_drawn=0", *overrides)
        minutes, losses = fit(built)
        steps = built.trainer.global_step
        self.bench.details["training"][name] = {
            "steps": steps,
            "minutes": minutes,
            "tera_flops": steps * flops_a_step(built) / 1e12,
            "loss": losses["loss"],
        }
        self.trained[name] = built
        return built

    def articles(self, built: Any, stage: str = "test", most: int = 512) -> ArticleBatch:
        """Held-out articles in one batch, of the test or to `validate` choices."""
        data = built.datamodule
        data.limit = data.eval_batch_size = min(most, self.scale.num_articles)
        data.setup(stage)  # which cuts the articles to the limit
        loader = data.test_dataloader() if stage == "test" else data.val_dataloader()
        batch: ArticleBatch = next(iter(loader))
        return batch

    def note(self, name: str, rates: Rates) -> Rates:
        """Keep and show one point of the frontier."""
        self.frontier[name] = rates
        shown = ", ".join(f"{key} {rates[key]:.3f}" for key in (*QUANTITIES, "gigaflops"))
        self.bench.say(f"{name}: {shown}")
        return rates


def flops_a_step(built: Any) -> float:
    """Operations of forward and backward of a batch, a mean: half of them see a prediction too."""
    with FlopCounter() as counter:
        for batch in islice(built.datamodule.train_dataloader(), COUNTED):
            built.model.training_loss(batch).backward()
    built.model.zero_grad()
    return counter.total / COUNTED


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

    def texts(
        self, control: Control | None, seed: int, guidance: Guidance | None = None
    ) -> tuple[list[str], float]:
        """Summaries under a control, None for none, and gigaflops a summary.

        Args:
            control: How a classifier steers them.
            seed: Of generation.
            guidance: Of a network conditioned on stances; None for no condition.
        """
        system, batch = self.system, self.batch
        steering = None if control is None else Steering(control, self.guides)
        how = replace(system.generation, seed=seed)
        length = batch["summary_BS"].shape[1]
        sampler = SummarySampler(system.denoiser, system.diffusion, how, length, steering, guidance)
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

    def rates(
        self, control: Control | None, seeds: Sequence[int], guidance: Guidance | None = None
    ) -> Rates:
        """Means over seeds of generation; arguments as of `texts`."""
        drawn = [self.texts(control, seed, guidance) for seed in seeds]
        each = [self.scores(texts) for texts, _ in drawn]
        scores = {
            name: [fmean(some) for some in zip(*(one[name] for one in each), strict=True)]
            for name in each[0]
        }
        return Rates(scores, gigaflops=fmean(cost for _, cost in drawn))

    def read(self, texts: Sequence[str], gigaflops: float) -> Rates:
        """What the exact reader says of summaries that cost so much each."""
        return Rates(self.scores(texts), gigaflops=gigaflops)

    def scores(self, texts: Sequence[str]) -> dict[str, list[float]]:
        """What the exact reader says of each summary, by measure."""
        names = self.system.names(self.asked_B)
        return NewsroomMeasures().score(
            [
                SimpleNamespace(question={"article": article, "asked": asked}, text=text)
                for article, asked, text in zip(self.batch["article_B"], names, texts, strict=True)
            ]
        )

    def best_of(self, drawn: Sequence[Sequence[str]], costs: Sequence[float]) -> Rates:
        """The summaries that the guide thinks most likely of the wanted stance."""
        score_NB = torch.stack([self.wanted(texts) for texts in drawn])
        best_B = score_NB.argmax(0).tolist()
        texts = [drawn[n][b] for b, n in enumerate(best_B)]
        return self.read(texts, sum(costs))

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
