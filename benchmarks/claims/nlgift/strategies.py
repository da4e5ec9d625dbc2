"""What more training from one tuned model gives in distribution and out of it.

Plain tuning goes on; code is mixed in; answers that the checker finds right are tuned on; pairs of
right and wrong answers train by DPO; answers are judged as they are drawn, by GRPO, with a reward
for the outcome alone or for the steps too. The last four draw equally many answers.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from benchmarks.bench.harness import Bench
from benchmarks.claims.nlgift.runs import (
    TUNE,
    Answers,
    Start,
    after,
    asked,
    built,
    described,
    policy,
    sample,
    swapped,
    template,
    tuned,
)
from modules.graph.significance import mcnemar
from modules.graph.transfer import LEVEL

SEEDS = (1, 2, 3)
DPO_RATE = 5e-5


def strategies(bench: Bench) -> None:
    """All strategies, for one seed or three."""
    seeds = SEEDS if bench.size >= 4 and not bench.quick else SEEDS[:1]
    found: dict[str, list[Answers]] = {}
    for seed in seeds:
        with TemporaryDirectory() as folder:
            for name, answers in of_seed(bench, seed, Path(folder)):
                found.setdefault(name, []).append(answers)
                bench.say(f"seed {seed}, {name}: {shares(answers)}")
    bench.details["strategies"] = {name: summary(runs, found) for name, runs in found.items()}


def of_seed(bench: Bench, seed: int, folder: Path) -> Any:
    """Name and answers of the start and of every strategy."""
    first = built(seed, bench.quick)
    first.trainer.fit(first.model, first.datamodule)
    yield "start", asked(first)
    first.model.export(folder / "start")
    start = Start(folder / "start", folder, seed, bench.quick, described(TUNE)["of"])
    for name, strategy in STRATEGIES.items():
        if name == "rationales":
            sample(start)
        yield name, strategy(start)


def plain(start: Start) -> Answers:
    """More problems of the same distribution."""
    return tuned(start)


def mixed_code(start: Start) -> Answers:
    """The same with small programs: two rows in seven, as the authors' 200 among 700."""
    code = {"class_path": "datamodules.graphs.draw.code.GraphCode"}
    code |= {"init_args": {"num": 40 if start.quick else 2000, "weight": 0.4}}  # type: ignore[dict-item]
    return tuned(start, f"--data.init_args.more={json.dumps([code])}")


def rationales(start: Start) -> Answers:
    """Its own answers, those that the checker finds right."""
    source = {
        "class_path": "datamodules.instructions.source.InstructionFiles",
        "init_args": {
            "path": str(start.work / "sampled" / "instructions.jsonl"),
            "prompt": "prompt",
            "response": "response",
        },
    }
    if start.quick:
        return plain(start)  # two steps of tuning get nothing right
    return tuned(
        start, f"--data.init_args.more={json.dumps([source])}", "--data.init_args.num_train=4"
    )


def dpo(start: Start) -> Answers:
    """Its own right answers above its own wrong ones."""
    if start.quick:
        return plain(start)
    pairs = {
        "class_path": "datamodules.instructions.pairs.PreferenceFiles",
        "init_args": {
            "path": str(start.work / "sampled" / "preferences.jsonl"),
            "prompt": "prompt",
        },
    }
    data = {
        "class_path": "datamodules.instructions.preferences.PreferenceData",
        "init_args": {
            "tokenizer": "assets/graph_bpe",
            "train": [pairs],
            "chat_template": template(),
            "row_length": 512,
            "batch_size": 8,
        },
    }
    model = {
        "class_path": "modules.causal_lm.preference.system.PreferenceLM",
        "init_args": {
            "network": {
                "class_path": "modules.causal_lm.network.Pretrained",
                "init_args": {"source": str(start.folder)},
            },
            "tokenizer": "assets/graph_bpe",
            "optimizer": {"class_path": "torch.optim.AdamW", "init_args": {"lr": DPO_RATE}},
        },
    }
    return after(start, swapped(start, model, data))


def grpo(steps: str) -> Callable[[Start], Answers]:
    """Judged as they are drawn."""

    def strategy(start: Start) -> Answers:
        return after(start, policy(start, steps))

    return strategy


STRATEGIES: dict[str, Callable[[Start], Answers]] = {
    "plain": plain,
    "code": mixed_code,
    "rationales": rationales,
    "dpo": dpo,
    "grpo, outcome": grpo("nothing"),
    "grpo, outcome and steps": grpo("share"),
}


def shares(answers: Answers) -> dict[str, float]:
    """Share of right answers of each test set."""
    return {name: round(fmean(held), 3) for name, held in answers.items()}


def summary(runs: list[Answers], every: Mapping[str, list[Answers]]) -> dict[str, Any]:
    """Means of a strategy over seeds, beside plain tuning."""
    base = every["plain"]
    found: dict[str, Any] = {}
    for name in runs[0]:
        own = np.concatenate([one[name] for one in runs]).astype(bool)
        other = np.concatenate([one[name] for one in base]).astype(bool)
        p = mcnemar(own, other)
        found[name] = {
            "accuracy": float(own.mean()),
            "seeds": [fmean(one[name]) for one in runs],
            "minus plain": float(own.mean() - other.mean()),
            "p": p,
            "significant": p < LEVEL,
        }
    return found
