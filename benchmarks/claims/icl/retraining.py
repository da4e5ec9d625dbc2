"""Whether scores of documents predict what training on them does: validation by retraining.

Theta_0 of icl/tiny is trained on random halves of a pool of 800 documents, each in two orders. A
score predicts the in-context loss of the task afterwards by its sum over the half; the rank
correlation of both is the linear datamodelling score (Park et al., 2023). Besides, the 5 % that
score highest are left out, and what the loss is higher by than without random ones.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata  # type: ignore[import-untyped]
from transformers import AutoTokenizer

from benchmarks.bench.from_config import configured
from benchmarks.bench.harness import Bench
from benchmarks.claims.icl.candidate_scores import candidate_scores
from benchmarks.claims.icl.planted import PLANTED, order
from benchmarks.claims.icl.world import CONFIG, WORDS, Continued, PlantedPool, as_batch
from datamodules.questions.source import Question
from datamodules.synthetic.patterns.questions import PatternQuestions
from modules.causal_lm.network import LanguageModel
from modules.icl.in_context import scored, summarise

POOLS = (400,)
"""Seeds of the candidates."""
NUM, HALVES, ORDERS = 800, 48, 2
LEFT_OUT, LEAVINGS = 0.05, 5
"""Share that is left out, and how often that is trained; random ones three times as often."""
CHEAP = ("BM25", "DSIR", "document loss", "gradient norm", "length", "random")
Values = NDArray[np.float64]


@dataclass
class Retrained:
    """What training on parts of one pool led to.

    Attributes:
        score: Of each method, of each document.
        is_in: Whether a document is in a half, [halves, documents].
        loss: In-context loss after training on a half, [halves, orders].
        without: Losses without the best by a method.
        without_random: Losses without random ones.
    """

    score: Mapping[str, Sequence[float]]
    is_in: Values
    loss: Values
    without: dict[str, list[float]] = field(default_factory=dict)
    without_random: list[float] = field(default_factory=list)

    def correlation(self, method: str, halves: NDArray[np.int64]) -> float:
        """Linear datamodelling score of a method over some halves."""
        predicted = self.is_in[halves] @ np.array(self.score[method])
        return spearman(predicted, -self.loss[halves].mean(1))

    def difference(self, method: str, rng: np.random.Generator | None = None) -> float:
        """Loss without the best minus that without random ones; of a resample where drawn."""
        pair = [np.array(one) for one in (self.without[method], self.without_random)]
        if rng is not None:
            pair = [rng.choice(one, len(one)) for one in pair]
        return float(pair[0].mean() - pair[1].mean())


def retraining(bench: Bench) -> None:
    """Scores of the candidates, and what training on parts of them leads to."""
    tokenizer, model = AutoTokenizer.from_pretrained(WORDS), tiny_theta_0()
    task = [*PatternQuestions(40 if bench.quick else 400, seed=101, topics="common").questions()]
    found = [
        retrained(bench, seed, model, tokenizer, task)
        for seed in (POOLS[:1] if bench.quick else POOLS)
    ]
    report(bench, found)


def tiny_theta_0() -> LanguageModel:
    """The model that icl/tiny starts from."""
    built = configured([CONFIG.with_name("tiny.yaml")], "--trainer.logger=false")
    built.model.configure_model()
    model: LanguageModel = built.model.language_model.eval()
    return model


def retrained(
    bench: Bench, seed: int, model: LanguageModel, tokenizer: Any, task: Sequence[Question]
) -> Retrained:
    """All trainings on parts of one pool."""
    num, halves, leavings = (80, 4, 1) if bench.quick else (NUM, HALVES, LEAVINGS)
    pool = PlantedPool.of(num, seed, mapping=PLANTED, easy=0.01, hard=PLANTED)
    score = candidate_scores(model, tokenizer, pool, task, seed)
    bench.say(f"pool {seed}: scored by {', '.join(score)}")
    train = Continued(model, lambda one: {"loss": task_loss(one, tokenizer, task)})

    def loss(chosen: Sequence[int], one: int) -> float:
        return train.on(pool.documents, chosen, one)["loss"]

    rng = np.random.default_rng(seed)
    is_in = np.stack([rng.permutation(num) < num // 2 for _ in range(halves)])
    found = Retrained(score, is_in.astype(float), on_halves(bench, is_in, loss))
    k = round(LEFT_OUT * num)
    for name, values in score.items():
        rest = order(values)[k:]
        found.without[name] = [loss(rest, one) for one in range(leavings)]
        bench.say(f"pool {seed}: without the best by {name} {fmean(found.without[name]):.4f}")
    for one in range(3 * leavings):
        found.without_random.append(loss(rng.permutation(num)[k:].tolist(), one))
    bench.say(f"pool {seed}: without random ones {fmean(found.without_random):.4f}")
    return found


def on_halves(
    bench: Bench, is_in: NDArray[np.bool_], loss: Callable[[Sequence[int], int], float]
) -> Values:
    """Losses [halves, orders] after training on each half."""
    losses = []
    for number, one in enumerate(is_in):
        chosen = np.flatnonzero(one).tolist()
        losses.append([loss(chosen, ORDERS * number + turn) for turn in range(ORDERS)])
        if number % 12 == 0:
            bench.say(f"half {number}: {losses[-1]}")
    return np.array(losses)


def task_loss(model: LanguageModel, tokenizer: Any, task: Sequence[Question]) -> float:
    """In-context loss of a task, in nats."""
    return summarise(scored(model, tokenizer, as_batch(task))).loss


def spearman(first: Values, second: Values) -> float:
    """Rank correlation; 0 where one is the same everywhere."""
    ranks = [rankdata(one) for one in (first, second)]
    if any(np.ptp(one) == 0 for one in ranks):
        return 0.0
    return float(np.corrcoef(*ranks)[0, 1])


@dataclass(frozen=True)
class Bootstrapped:
    """A value and its 95 % bootstrap interval."""

    value: float
    low: float
    high: float

    @staticmethod
    def of(value: float, resampled: Sequence[float]) -> "Bootstrapped":
        """From values of resamples."""
        low, high = np.percentile(resampled, [2.5, 97.5])
        return Bootstrapped(value, float(low), float(high))

    def __str__(self) -> str:
        """For a cell of a table."""
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


def datamodelling(found: Sequence[Retrained], method: str, num: int = 1000) -> Bootstrapped:
    """Linear datamodelling score, mean over pools; halves are resampled."""
    rng = np.random.default_rng(0)
    whole = fmean(one.correlation(method, np.arange(len(one.loss))) for one in found)
    draws = [
        fmean(
            one.correlation(method, rng.integers(len(one.loss), size=len(one.loss)))
            for one in found
        )
        for _ in range(num)
    ]
    return Bootstrapped.of(whole, draws)


def left_out(found: Sequence[Retrained], method: str, num: int = 1000) -> Bootstrapped:
    """Loss that leaving out the best costs beyond random ones, mean over pools."""
    rng = np.random.default_rng(0)
    draws = [fmean(one.difference(method, rng) for one in found) for _ in range(num)]
    return Bootstrapped.of(fmean(one.difference(method) for one in found), draws)


def report(bench: Bench, found: Sequence[Retrained]) -> None:
    """The table of methods, the best first, and what is claimed of cosine."""
    predicting = {name: datamodelling(found, name) for name in found[0].score}
    leaving = {name: left_out(found, name) for name in found[0].score}
    best_first = sorted(predicting, key=lambda name: -predicting[name].value)
    rows = [[name, str(predicting[name]), str(leaving[name])] for name in best_first]
    head = ["score", "linear datamodelling score:", "nats that leaving out costs:"]
    bench.details["tables"] = {"retraining": {"head": head, "rows": rows}}
    again = fmean(spearman(one.loss[:, 0], one.loss[:, 1]) for one in found)
    bench.details["rank correlation of losses in two orders"] = again
    bench.details["losses"] = {
        "halves": [one.loss.tolist() for one in found],
        "without": [one.without for one in found],
        "without random": [one.without_random for one in found],
    }
    add_rows(bench, predicting, leaving, again)


def add_rows(
    bench: Bench,
    predicting: Mapping[str, Bootstrapped],
    leaving: Mapping[str, Bootstrapped],
    again: float,
) -> None:
    """What is claimed of cosine."""
    cosine = predicting["cosine"]
    what = "linear datamodelling score of cosine"
    best = (2 * max(again, 0) / (1 + again)) ** 0.5  # of losses over two orders (Spearman-Brown)
    bench.row(6, what, cosine.value, 0.2, at_least=True, limit=best)
    bench.row(6, f"{what}, low end of its interval", cosine.low, 0.0, at_least=True)
    best = max(predicting[name].value for name in CHEAP)
    bench.row(
        6,
        f"{what}, minus the best without a task's gradient",
        cosine.value - best,
        0.0,
        at_least=True,
    )
    for other in ("dot product", "LESS"):
        gain = cosine.value - predicting[other].value
        bench.row(6, f"{what}, minus that of {other}", gain, 0.0, at_least=True)
    what = "nats that leaving out the best 5 % by cosine costs beyond random ones"
    bench.row(6, what, leaving["cosine"].value, 0.0, at_least=True, peer=leaving["planted"].value)
    bench.row(6, f"{what}, low end", leaving["cosine"].low, 0.0, at_least=True)
