"""How fast graph problems are made and asked: `python -m benchmarks.nlgift`."""

from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import Any

import torch

from benchmarks.bench.from_config import configured
from benchmarks.bench.harness import Bench, run
from datamodules.graphs.distribution import Distribution, drawn_graph
from datamodules.graphs.questions import GraphQuestions
from modules.graph.system import GraphLM

CONFIG = "configs/nlgift/tiny.yaml"
TASKS = ("connectivity", "shortest_path", "topological_sort", "max_flow")
SIZES = {"0.9 M parameters": {}, "25 M parameters": {"hidden_size": 512, "num_hidden_layers": 8}}
"""Options of the models that are asked, over those of `nlgift/tiny`."""


def measure(bench: Bench) -> None:
    """Problems a second, and what asking costs beside the forward passes."""
    making(bench)
    asking(bench)


def making(bench: Bench) -> None:
    """Problems of the paper's distributions, with their right answers."""
    num = 10 if bench.quick else 250
    seconds = {}
    for task in TASKS:
        drawn_graph.cache_clear()
        start = perf_counter()
        list(GraphQuestions(num, Distribution(task), seed=7).questions())
        seconds[task] = perf_counter() - start
    bench.details["seconds of 250 problems"] = seconds
    bench.row(1, "seconds of 1,000 problems with answers, one core", sum(seconds.values()), 10.0)


def asking(bench: Bench) -> None:
    """Share of the time of an evaluation that is no forward pass."""
    for name, options in SIZES.items():
        network = [
            f"--model.init_args.network.init_args.options.{k}={v}" for k, v in options.items()
        ]
        flags = [
            "--trainer.logger=false",
            "--trainer.callbacks=[]",
            "--data.init_args.num_train=20",
        ]
        num = 8 if bench.quick else 128
        tested = [f"--data.init_args.num_test={num}", "--data.init_args.num_validate=2"]
        built = configured([CONFIG], *network, *flags, *tested)
        whole, forward = asked(built)
        bench.details[name] = {"seconds": whole, "seconds of forward passes": forward}
        bench.row(2, f"share of asking that is no forward pass, {name}", 1 - forward / whole, 0.1)


def asked(built: Any) -> tuple[float, float]:
    """Seconds of asking one test set, and of the forward passes within it."""
    system: GraphLM = built.model
    system.trainer = built.trainer
    system.configure_model()
    system.eval()
    [questions, *_] = built.datamodule.asked("test").values()
    list(system.answered(questions, [0, 1], built.datamodule))  # what is loaded once
    with timed(system.language_model.model) as spent:
        start = perf_counter()
        found = list(system.answered(questions, range(len(questions)), built.datamodule))
        whole = perf_counter() - start
    assert len(found) == len(questions)
    return whole, sum(spent)


@contextmanager
def timed(model: torch.nn.Module) -> Iterator[list[float]]:
    """Within it, the seconds of every forward pass of a model."""
    started, spent = [0.0], list[float]()

    def before(*_: Any) -> None:
        started[0] = perf_counter()

    def after(*_: Any) -> None:
        spent.append(perf_counter() - started[0])

    hooks = [model.register_forward_pre_hook(before), model.register_forward_hook(after)]
    try:
        yield spent
    finally:
        for hook in hooks:
            hook.remove()


if __name__ == "__main__":
    run("nlgift", measure)
