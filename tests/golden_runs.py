"""Short runs of every shipped config on synthetic stand-ins: one thread, float32, twenty steps."""

import csv
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch

from cli import main
from tests.conftest import TEXTS
from tests.fixtures.codec import TINY
from tests.fixtures.configs import RUNS, shortened_run, write_stand_ins
from tests.fixtures.detector import SHORT, write_detector_stand_ins
from tests.fixtures.endpoint import serving
from tests.fixtures.layers import CONFIGS, as_data, described
from tests.fixtures.remote_runs import lines, run, save_experts, tiny_parts
from tests.fixtures.runs import metrics
from tests.fixtures.systems.classifier import few as few_news

AS_SHIPPED = {"causal_lm/tiny", "lmfusion/tiny"}
"""Runs that are cut in nothing but their batches and steps."""
DETECTORS = ("detector/roberta", "detector/tiny")
STANCES = ("classifier/newsroom", "classifier/stance", "classifier/stance_judge")
TRAINED = (*(f"{path.parent.name}/{path.stem}" for path in RUNS), *DETECTORS, *STANCES)
FEW = 100
"""Documents that a source makes up, at most."""
METHOD = "--model.init_args.method.init_args"
BUDGET = "--data.init_args.train.budget=40"
EVERY_TEXT = [
    "--data.init_args.splits=null",
    *(f"--data.init_args.{part}.generators=null" for part in ("train", "validate", "test")),
]
NEW = "--model.init_args.generation.max_new_tokens=8"


def system(name: str) -> str:
    """The folder of a config."""
    return name.partition("/")[0]


def write_kind(kind: str, folder: Path) -> None:
    """Write data and models; those of detectors lie apart, as two models have the same name."""
    from engine.commands.tokenizer import train_tokenizer

    tokenizer = folder / f"{kind}_tokenizer"
    train_tokenizer(iter(TEXTS), 300, tokenizer)
    torch.manual_seed(0)
    if kind == "detector":
        write_detector_stand_ins(folder / kind / "data", folder / kind / "models", tokenizer)
        return
    write_stand_ins(folder / kind, tokenizer)
    write_proverbs(folder / kind / "data" / "memotrap")


@contextmanager
def one_thread() -> Iterator[None]:
    """Sums are taken in one order."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def write_proverbs(folder: Path) -> None:
    """Prompts as those of MemoTrap."""
    import pyarrow
    import pyarrow.parquet

    folder.mkdir()
    words = ("cat", "moon", "house")
    table = {
        "prompt": [f'Write a quote that ends in the word "{w}": The dog ran' for w in words],
        "classes": [[f" over the {w}.", " over the hill."] for w in words],
        "answer_index": [0] * len(words),
        "answer": [f" over the {w}." for w in words],
    }
    pyarrow.parquet.write_table(pyarrow.table(table), folder / "proverb_ending.parquet")


@contextmanager
def places(name: str, folder: Path) -> Iterator[None]:
    """Within this context, a config finds stand-ins below a folder, written at the first use."""
    kind = "detector" if system(name) == "detector" else "others"
    if name not in AS_SHIPPED and not (folder / kind).is_dir():
        write_kind(kind, folder)
    torch.manual_seed(0)  # what is written within it does not depend on earlier random draws
    folders = {f"TRAINER_{part.upper()}": str(folder / kind / part) for part in ("data", "models")}
    with patch.dict(os.environ, folders):
        yield


def command(verb: str, name: str, folder: Path, *flags: str) -> Path:
    """Run a config on the stand-ins of a folder; returns the run's folder."""
    layers = [f"--config={CONFIGS / layer}.yaml" for layer in (name, "debug")]
    with places(name, folder):
        main([verb, *layers, f"--trainer.logger.init_args.root={folder / 'runs'}", *flags])
    return max((folder / "runs" / name).iterdir(), key=lambda path: int(path.name))


def curve(name: str, folder: Path) -> list[float]:
    """The loss of twenty steps."""
    with places(name, folder):
        flags = small(name, folder)
    flags += ["--data.init_args.batch_size=2", "--trainer.max_steps=20"]
    rows = metrics(command("fit", name, folder, *flags, "--trainer.limit_val_batches=0"))
    return [row["train/loss"] for row in rows]


def small(name: str, folder: Path) -> list[str]:
    """Flags that make a step of a config cheap and, but for the runs as shipped, warm-up short."""
    config = CONFIGS / f"{name}.yaml"
    cache = f"--data.init_args.cache={folder / 'cache'}"
    if name in AS_SHIPPED:
        return [cache] if system(name) == "causal_lm" else []
    warm = "--model.init_args.scheduler.init_args.warmup_steps=5"
    if system(name) == "detector":
        budget = "budget" in described(config).data.init_args.train
        return [warm, cache, *(flag for flag in SHORT if budget or "budget" not in flag)]
    if name in STANCES:
        parts = {"train": FEW, "val": FEW, "test": FEW}
        return [warm, cache, few_news(parts), *EVERY_TEXT]
    made = folder / "made" / name
    cheap = [*tiny_network(config), *cheap_steps(config), *few(config)]
    return [warm, *shortened_run(config, made, cache), *cheap]


def tiny_network(config: Path) -> list[str]:
    """Flags that make a Llama small which a config describes."""
    network = described(config).model.init_args.network.get("init_args", {})
    prefix = "--model.init_args.network.init_args.options"
    return [f"{prefix}.{key}={value}" for key, value in TINY.items() if "options" in network]


def cheap_steps(config: Path) -> list[str]:
    """Flags that make a step of a large run short."""
    loaded = described(config)
    if not loaded.trainer.get("accumulate_grad_batches"):
        return []
    flags = ["--trainer.accumulate_grad_batches=2", "--data.init_args.num_workers=0"]
    has_rows = "row_length" in loaded.data.init_args
    return [*flags, *(["--data.init_args.row_length=512"] if has_rows else [])]


def few(config: Path) -> list[str]:
    """A flag for sources that make up many documents, or draw many digits: it leaves them few."""
    sources = as_data(config)["data"]["init_args"].get("train", [])
    if config.parent.name != "causal_lm" and not config.stem.startswith("digits"):
        return []
    for source in sources:
        if "num" in source["init_args"]:
            source["init_args"]["num"] = FEW
        if "copies" in source["init_args"]:
            source["init_args"] = {"split": "validate"}
    return [f"--data.init_args.train={json.dumps(sources)}"]


def outcome(folder: Path) -> dict[str, Any]:
    """What a run without training leaves: its measures, and what it wrote."""
    written = sorted(folder.glob("predictions*.jsonl"))
    rows = []
    if (folder / "metrics.csv").is_file():  # answers alone are not measured
        with (folder / "metrics.csv").open() as file:
            rows = [{k: float(v) for k, v in row.items() if v} for row in csv.DictReader(file)]
    return {"metrics": rows, "written": [record for path in written for record in lines(path)]}


def tested(name: str, folder: Path, *flags: str) -> dict[str, Any]:
    """The measures of a detector that is not trained."""
    return outcome(command("test", name, folder, f"--data.init_args.cache={folder}", *flags))


def pairs(folder: Path) -> dict[str, Any]:
    """Continuations that a language model writes."""
    flags = ["--data.init_args.written=null", "--data.init_args.num=3", NEW]
    flags += ["--model.init_args.least_tokens=5", "--data.init_args.least_words=20"]
    return outcome(command("predict", "detector/write", folder, *flags))


def proxy_tuned(folder: Path) -> dict[str, Any]:
    expert = f"{METHOD}.expert.path={folder / 'others' / 'models' / 'Meta-Llama-3-8B'}"
    return outcome(command("predict", "decoding/proxy_tuning", folder, expert, NEW))


def aligned(folder: Path) -> dict[str, Any]:
    few = ["--trainer.limit_predict_batches=1", "--data.init_args.batch_size=4"]
    return outcome(command("predict", "decoding/in_context_alignment", folder, *few, NEW))


def black_box(folder: Path) -> dict[str, Any]:
    """Proxy-tuning of a model served by a local endpoint."""
    tokenizer, base, *_ = parts = tiny_parts()
    own = folder / "black_box"
    own.mkdir()
    save_experts(parts, own)
    flags = [f"--model.init_args.method.{name}.path={own / name}" for name in EXPERTS]
    questions = [{"id": str(n), "question": text} for n, text in enumerate(ASKED)]
    with serving(model=base, tokenizer=tokenizer) as served:
        short = "--model.init_args.sampling.max_new_tokens=4"
        return {"written": run("black_box", own, questions, served.url, *flags, short)}


EXPERTS = ("expert", "antiexpert")
ASKED = ("the cat sat", "a question has", "the dog")


def longer(fields: dict[str, Any]) -> dict[str, Any]:
    """A judge that likes long answers."""
    text = fields["messages"][-1]["content"]
    first, second = (text.split(f"Answer {n}:\n")[1].split("\n\n")[0] for n in (1, 2))
    return {"message": {"content": f"{min(len(first), 10)} {min(len(second), 10)}\nBecause."}}


def judged(folder: Path) -> dict[str, Any]:
    """Answers compared by a judge served by a local endpoint."""
    own = folder / "judge"
    own.mkdir()
    answers = [("a long answer", "no"), ("no", "a long answer"), ("same", "else")]
    questions = [
        {"id": str(n), "question": ASKED[n], "ours": ours, "theirs": theirs}
        for n, (ours, theirs) in enumerate(answers)
    ]
    with serving() as served:
        served.chat = longer  # type: ignore[method-assign]
        place = "judge.init_args.endpoint"
        records = run("judge", own, questions, served.url, place=place)
    [last] = (own / "runs" / "decoding" / "judge").iterdir()
    return {"metrics": outcome(last)["metrics"], "written": records}


UNTRAINED: dict[str, Callable[[Path], dict[str, Any]]] = {
    "decoding/black_box": black_box,
    "decoding/context_aware": lambda folder: outcome(
        command("test", "decoding/context_aware", folder)
    ),
    "decoding/in_context_alignment": aligned,
    "decoding/judge": judged,
    "decoding/proxy_tuning": proxy_tuned,
    "detector/published": partial(tested, "detector/published"),
    "detector/tfidf": lambda folder: tested(
        "detector/tfidf", folder, "--data.init_args.train.budget=40"
    ),
    "detector/write": pairs,
    "detector/zero_shot": partial(tested, "detector/zero_shot"),
}
"""What does not train, and how its outcome is got."""
