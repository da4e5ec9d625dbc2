"""Runs that go on from one tuned model: more tuning, sampling, and other systems.

They are built from `nlgift/tune`, so that problems, forms and answers are those of the grids.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.bench.from_config import Configured, configured

TUNE = "configs/nlgift/tune.yaml"
STEPS = 60
"""Optimizer steps of more tuning."""
PROMPTS, GROUP = 4, 8
"""Prompts and answers of a step of GRPO."""
POLICY_STEPS = 50
RATE = 2e-4
QUESTIONS = "datamodules.graphs.questions.GraphQuestions"
VARIANTS = {
    "incident": {"form": "incident"},
    "adjacency": {"form": "adjacency"},
    "friendship": {"form": "friendship"},
    "expert": {"form": "expert"},
    "buses": {"form": "assets/graph_wordings/buses.yaml"},
}
Answers = Mapping[str, list[bool]]
"""Whether each answer to each test set is right."""


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


def after(start: Start, run: Configured) -> Answers:
    """What a model answers after a run of another system."""
    run.trainer.fit(run.model, run.datamodule)
    folder = start.work / "after"
    run.model.export(folder)
    done = Start(folder, start.work, start.seed, start.quick, start.of).build()
    return asked(done)
