"""What more training from one tuned model gives in distribution and out of it.

Plain tuning goes on; code is mixed in; answers that the checker finds right are tuned on; pairs of
right and wrong answers train by DPO; answers are judged as they are drawn, by GRPO, with a reward
for the outcome alone or for the steps too. The last four draw equally many answers.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from benchmarks.bench.from_config import Configured, configured
from benchmarks.bench.harness import Bench
from modules.graph.significance import mcnemar
from modules.graph.transfer import LEVEL

TUNE = "configs/nlgift/tune.yaml"
OWN = "incident"
SEEDS = (1, 2, 3)
STEPS = 60
"""Optimizer steps of each strategy, but for those of GRPO."""
PROMPTS, GROUP = 4, 8
"""Prompts and answers of a step of GRPO."""
POLICY_STEPS = 50
RATE = 2e-4
DPO_RATE = 5e-5
QUESTIONS = "datamodules.graphs.questions.GraphQuestions"
VARIANTS = {
    "incident": {"form": "incident"},
    "adjacency": {"form": "adjacency"},
    "friendship": {"form": "friendship"},
    "expert": {"form": "expert"},
    "buses": {"form": "assets/graph_wordings/buses.yaml"},
}
Answers = Mapping[str, list[bool]]


@dataclass(frozen=True)
class Start:
    """The tuned model that every strategy goes on from.

    Attributes:
        folder: Its export.
        work: Where files of this seed go.
        seed: Of draws and orders.
        quick: Whether only to show that it runs.
        of: The distribution of the problems.
    """

    folder: Path
    work: Path
    seed: int
    quick: bool
    of: dict[str, Any]

    def build(self, *overrides: str) -> Configured:
        """A config of `nlgift/tune` that starts from this model."""
        source = f"--model.init_args.network.init_args.source={self.folder}"
        return built(self.seed, self.quick, source, *overrides)


def built(seed: int, quick: bool, *overrides: str) -> Configured:
    """What `nlgift/tune` describes, with these problems and forms."""
    sizes = {"num_train": 40, "num_test": 4, "num_validate": 2} if quick else {}
    return configured(
        [TUNE],
        f"--seed_everything={seed}",
        f"--data.init_args.variants={json.dumps(VARIANTS)}",
        *(f"--data.init_args.{name}={value}" for name, value in sizes.items()),
        *(["--trainer.max_steps=2"] if quick else []),
        "--trainer.val_check_interval=1000000",
        "--trainer.logger=false",
        "--trainer.callbacks=[]",
        "--trainer.enable_checkpointing=false",
        "--trainer.enable_progress_bar=false",
        *overrides,
    )


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


def asked(run: Configured) -> Answers:
    """Whether each answer to each test set is right."""
    run.trainer.test(run.model, run.datamodule, verbose=False)
    found: dict[str, list[bool]] = {}
    for one in run.model.answers:
        found.setdefault(one["task"], []).append(one["verdict"] == "right")
    return found


def tuned(start: Start, *overrides: str) -> Answers:
    """What the model answers after more tuning."""
    steps = [] if start.quick else [f"--trainer.max_steps={STEPS}"]
    rate = f"--model.init_args.optimizer.init_args.lr={RATE}"
    run = start.build(rate, *steps, "--data.init_args.problem_seed=1", *overrides)
    run.trainer.fit(run.model, run.datamodule)
    return asked(run)


def plain(start: Start) -> Answers:
    """More problems of the same distribution."""
    return tuned(start)


def mixed_code(start: Start) -> Answers:
    """The same with small programs: two rows in seven, as the authors' 200 among 700."""
    code = {"class_path": "datamodules.graphs.draw.code.GraphCode"}
    code |= {"init_args": {"num": 40 if start.quick else 2000, "weight": 0.4}}  # type: ignore[dict-item]
    return tuned(start, f"--data.init_args.more={json.dumps([code])}")


def chats(start: Start) -> dict[str, Any]:
    """Questions of the training split that no strategy was tuned on, as data for a policy."""
    num = 4 if start.quick else PROMPTS * POLICY_STEPS
    options = {"num": num, "of": start.of | {"rationale": "none"}, "split": "train", "seed": 2}
    source = {"class_path": QUESTIONS, "init_args": options}
    return {
        "class_path": "datamodules.questions.chat.ChatQuestionData",
        "init_args": {
            "tokenizer": "assets/graph_bpe",
            "train": [source],
            "chat_template": template(),
            "batch_size": PROMPTS,
        },
    }


def template() -> str:
    """The chat template of the folder's configs."""
    return str(described("configs/nlgift/base.yaml")["chat_template"])


def described(config: str) -> dict[str, Any]:
    """Options of the data of a config, as the file gives them."""
    import yaml

    found: dict[str, Any] = yaml.safe_load(Path(config).read_text())["data"]["init_args"]
    return found


def policy(start: Start, steps: str, *overrides: str) -> Configured:
    """A policy that starts from the tuned model, with its questions."""
    model = {
        "class_path": "modules.causal_lm.policy.system.PolicyLM",
        "init_args": {
            "network": {
                "class_path": "modules.causal_lm.network.Pretrained",
                "init_args": {"source": str(start.folder)},
            },
            "tokenizer": "assets/graph_bpe",
            "reward": {
                "class_path": "datamodules.graphs.measure.GraphReward",
                "init_args": {"steps": steps},
            },
            "optimizer": {"class_path": "torch.optim.AdamW", "init_args": {"lr": RATE / 4}},
            "sampling": {
                "temperature": 1.0,
                "top_k": None,
                "max_new_tokens": 4 if start.quick else 128,
            },
            "group": GROUP,
        },
    }
    return swapped(start, model, chats(start), *overrides)


def swapped(
    start: Start, model: dict[str, Any], data: dict[str, Any], *overrides: str
) -> Configured:
    """A run of another system and other data, described by a file of its own."""
    import yaml

    file = start.work / "run.yaml"
    steps = 2 if start.quick else POLICY_STEPS
    trainer = {"max_steps": steps, "logger": False, "callbacks": [], "precision": "32-true"}
    trainer |= {"enable_checkpointing": False, "enable_progress_bar": False}
    trainer |= {"val_check_interval": 1000000}
    whole = {"seed_everything": start.seed, "model": model, "data": data, "trainer": trainer}
    file.write_text(yaml.safe_dump(whole))
    return configured([file], *overrides)


def sample(start: Start) -> None:
    """Answers of the tuned model, judged: `instructions.jsonl` and `preferences.jsonl`."""
    run = policy(start, "nothing")
    run.model.trainer = run.trainer
    run.datamodule.trainer = run.trainer
    run.datamodule.setup("predict")
    run.model.configure_model()
    run.model.eval()
    for _ in run.model.rejection_sample(run.datamodule, start.work / "sampled", 1.0):
        pass


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


def after(start: Start, run: Configured) -> Answers:
    """What a model answers after a run of another system."""
    run.trainer.fit(run.model, run.datamodule)
    folder = start.work / "after"
    run.model.export(folder)
    done = Start(folder, start.work, start.seed, start.quick, start.of).build()
    return asked(done)


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
