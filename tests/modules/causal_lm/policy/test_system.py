"""GRPO runs: gradients, draws that repeat, what is logged, and a word that is learnt."""

import csv
import json
from collections.abc import Mapping
from functools import partial

import numpy as np
import pytest
import torch

from cli import main
from datamodules.instructions.pairs import PreferenceFiles
from datamodules.instructions.source import InstructionFiles
from datamodules.questions.chat import ChatQuestionData
from datamodules.questions.files import JsonlQuestions
from modules.causal_lm.generate import Generation
from modules.causal_lm.network import FromConfig
from modules.causal_lm.policy.loss import EPSILON
from modules.causal_lm.policy.reward import FieldMatch
from modules.causal_lm.policy.rollout import check_policy
from modules.causal_lm.policy.system import PolicyLM
from tests.fixtures.runs import (
    OPTIONS,
    fit,
    fit_on_ranks,
    last,
    losses,
    metrics,
    newest_run,
    refused,
    weights,
    write_small_run,
)

NAMES = ["cat", "dog", "moon", "house"]
MATCH = "modules.causal_lm.policy.reward.FieldMatch"


@pytest.fixture
def questions(tmp_path):
    path = tmp_path / "questions.jsonl"
    rows = [{"id": name, "question": f"A {name}?", "answer": "cat"} for name in NAMES]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def fields(path):
    return {"path": str(path), "fields": {"question": "question", "answer": "answer"}}


@pytest.fixture
def config(tmp_path, tokenizer_folder, questions):
    source = {
        "class_path": "datamodules.questions.files.JsonlQuestions",
        "init_args": fields(questions),
    }
    network = {
        "class_path": "modules.causal_lm.network.FromConfig",
        "init_args": {"options": OPTIONS},
    }
    model = {
        "tokenizer": str(tokenizer_folder),
        "network": network,
        "reward": {"class_path": MATCH, "init_args": {"rule": "begins"}},
        "optimizer": {"class_path": "torch.optim.AdamW", "init_args": {"lr": 0.01}},
        "sampling": {"max_new_tokens": 3, "temperature": 1.0, "top_k": None},
        "generation": {"max_new_tokens": 3},
        "group": 4,
        "kl_weight": 0.01,
    }
    data = {
        "tokenizer": str(tokenizer_folder),
        "chat_template": "plain",
        "train": [source],
        "validate": [source],
        "batch_size": 2,
    }
    return write_small_run(
        tmp_path,
        {
            "model": {
                "class_path": "modules.causal_lm.policy.system.PolicyLM",
                "init_args": model,
            },
            "data": {
                "class_path": "datamodules.questions.chat.ChatQuestionData",
                "init_args": data,
            },
        },
    )


class Lengths:
    """Long answers with few letters e are good."""

    def judge(self, question: Mapping[str, str], answer: str) -> tuple[float, str]:
        return len(answer) - 2.0 * answer.count("e"), "long" if len(answer) > 4 else "short"


@pytest.fixture
def by_length(monkeypatch):
    """The reward of a config differs between most answers."""
    monkeypatch.setattr(FieldMatch, "judge", Lengths.judge)


def away_from_its_reference(tokenizer_folder, **options) -> PolicyLM:
    torch.manual_seed(0)
    network = partial(FromConfig, options=OPTIONS)
    how = Generation(temperature=0.7, top_k=None, max_new_tokens=6)
    options = {"sampling": how, "group": 4, "kl_weight": 0.1, **options}
    system = PolicyLM(network, str(tokenizer_folder), Lengths(), **options)
    system.configure_model()
    system.double()
    for parameter in system.network.parameters():
        parameter.data += 0.02 * torch.randn_like(parameter)
    system.step_mean = lambda total, count: total / count
    return system


@pytest.fixture
def batches(tokenizer_folder, questions):
    """Batches of the questions of some rows, in a step of three."""
    source = JsonlQuestions(**fields(questions))
    data = ChatQuestionData(str(tokenizer_folder), [source], chat_template="plain")
    data.setup("fit")
    items = data._asked["train"]
    return lambda *rows: items.batch(np.array(rows), len(rows)) | {"step_targets": 3}


def gradients(system, batch):
    return torch.autograd.grad(system.training_step(batch, 0), list(system.network.parameters()))


def test_three_prompts_and_three_times_one_have_the_same_gradient(tokenizer_folder, batches):
    system = away_from_its_reference(tokenizer_folder)
    whole = gradients(system, batches(0, 1, 2))
    each = [gradients(system, batches(row)) for row in range(3)]
    torch.testing.assert_close(whole, tuple(map(sum, zip(*each, strict=True))))


@pytest.mark.parametrize("unbiased", [False, True], ids=["grpo", "dr_grpo"])
def test_the_gradient_is_that_of_a_loop_over_single_answers(tokenizer_folder, batches, unbiased):
    system = away_from_its_reference(tokenizer_folder, unbiased=unbiased)
    batch, how = batches(0, 1, 2), system.sampling
    found = gradients(system, batch)

    judged = system.answered(batch, how, 4)
    assert len({one.answer.text for one in judged}) > 4

    def log_p(model, answer):
        ids = [*answer.prompt, *answer.tokens]
        rows = torch.tensor([ids]), torch.arange(len(ids))[None], [len(ids)]
        logits = model(*rows)[0] / how.temperature
        places = range(len(answer.prompt), len(ids))
        return [logits[t - 1].log_softmax(-1)[ids[t]] for t in places]

    total = 0.0
    for start in range(0, 12, 4):
        rewards = torch.tensor([one.reward for one in judged[start : start + 4]]).double()
        spread = 1.0 if unbiased else rewards.std() + EPSILON
        for one, reward in zip(judged[start : start + 4], rewards, strict=True):
            ours, theirs = (log_p(m, one.answer) for m in (system.network, system.copy_at_start))
            tokens = 0.0
            for now, before in zip(ours, theirs, strict=True):
                r = torch.exp(before.detach() - now)
                gain = torch.exp(now - now.detach()) * (reward - rewards.mean()) / spread
                tokens = tokens + gain - 0.1 * (r - torch.log(r) - 1)
            total = total - tokens / (6 if unbiased else len(ours))
    plain = torch.autograd.grad(total / 12, list(system.network.parameters()))
    torch.testing.assert_close(found, plain, rtol=1e-5, atol=1e-8)


def test_a_resumed_run_draws_the_same_answers(config, by_length):
    whole = fit(config, "--trainer.max_steps=3")
    first = fit(config, "--trainer.max_steps=2")
    given = [last(first), "--trainer.max_steps=3", "--seed_everything=5"]
    resumed = fit(config, *given)
    assert losses(resumed) == losses(whole)[2:]
    assert metrics(whole)[-1]["train/kl"] > 0  # the weights have moved
    for name in ("reward", "length", "entropy", "kl", "no_signal", "cut", "answers/short"):
        assert metrics(resumed)[0][f"train/{name}"] == metrics(whole)[-1][f"train/{name}"]
    for name, value in weights(whole).items():
        assert torch.equal(weights(resumed)[name], value)


def test_a_word_that_is_rewarded_is_learnt_and_then_sampled_to_tune_on(config, tmp_path):
    options = ["--model.init_args.group=32", "--model.init_args.kl_weight=0"]
    options += ["--model.init_args.sampling.max_new_tokens=1"]
    steps = ["--trainer.max_steps=22", "--trainer.val_check_interval=22"]
    run = fit(config, *options, *steps, "--data.init_args.batch_size=4")
    rows = metrics(run)
    assert rows[0]["train/reward"] < 0.1
    assert rows[-1]["train/reward"] > 0.9
    assert rows[-1]["train/answers/right"] == rows[-1]["train/reward"]
    assert "train/kl" not in rows[-1]
    with (run / "metrics.csv").open() as file:
        [row] = [row for row in csv.DictReader(file) if row["validate/reward"]]
    assert float(row["validate/reward"]) == float(row["validate/answers/right"]) > 0.7

    given = [f"--config={config}", last(run), *options]
    main(["predict", *given])
    lines = (newest_run(config) / "predictions.jsonl").read_text().splitlines()
    assert sorted(json.loads(line)["id"] for line in lines) == sorted(NAMES)

    out = tmp_path / "out"
    main(["sample", *given, f"--folder={out}"])
    answers = [json.loads(line) for line in (out / "answers.jsonl").open()]
    assert [one["id"] for one in answers] == [name for name in NAMES for _ in range(32)]
    tuned = InstructionFiles(str(out / "instructions.jsonl"), "", "prompt", "response").documents()
    asked = {f"A {name}?" for name in NAMES}
    assert {one.messages[0]["content"] for one in tuned} == asked
    with refused("name another folder"):
        main(["sample", *given, f"--folder={out}"])


def test_sampling_that_is_not_the_policy_is_refused():
    for name, value in {"top_k": 50, "top_p": 0.9, "repetition_penalty": 1.1}.items():
        how = Generation(**{"temperature": 1.0, "top_k": None, name: value})
        with pytest.raises(ValueError, match=f"sampling.{name} is {value}: answers would come"):
            check_policy(how)
    with pytest.raises(ValueError, match="would be the same"):
        check_policy(Generation(temperature=0.0, top_k=None))


def test_a_prompt_that_leaves_no_room_is_refused_before_the_first_step(config):
    with refused("more than the model's context of 128"):
        fit(config, "--model.init_args.sampling.max_new_tokens=120")


def test_what_is_sampled_can_be_tuned_on(tmp_path):
    from modules.causal_lm.policy.rejection import Sampled, describe, write_sampled

    def record(answer, reward):
        return {"answer": answer, "reward": reward, "label": "right" if reward else "wrong"}

    records = [record("b", 0.0), record("a", 1.0), record("a", 1.0), record("c", 0.0)]
    sampled = [
        Sampled("1", "One?", [*records, record("d", 1.0), record("e", 1.0)]),
        Sampled("2", "Two?", [record("f", 0.0), record(" ", 0.0)]),
    ]
    assert list(describe(sampled, 1.0)) == [
        "8 answers: wrong 50.0%, right 50.0%",
        "1 of 2 questions have a right answer",
    ]
    list(write_sampled(sampled, tmp_path, 1.0))
    tuned = list(
        InstructionFiles(str(tmp_path / "instructions.jsonl"), "", "prompt", "response").documents()
    )
    assert [one.messages[-1]["content"] for one in tuned] == ["a", "d", "e"]
    pairs = list(PreferenceFiles(str(tmp_path / "preferences.jsonl"), prompt="prompt").documents())
    found = [(one.messages[-1]["content"], one.rejected[-1]["content"]) for one in pairs]
    assert found == [("a", "b"), ("d", "c")]


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["ddp", "fsdp2"])
def test_two_ranks_train_as_one_and_agree_on_the_labels(config, by_length, strategy):
    steps = ["--trainer.max_steps=2", "--trainer.val_check_interval=2"]
    parallel = [f"--config=configs/strategy/{strategy}.yaml", *steps]
    two = fit_on_ranks(config, 2, *parallel, "--data.init_args.batch_size=2")
    one = fit(config, *steps, "--data.init_args.batch_size=4")
    for ours, theirs in zip(metrics(two), metrics(one), strict=True):
        for name in ("loss", "gradient_norm", "reward", "kl", "answers/long", "answers/short"):
            wanted = pytest.approx(theirs[f"train/{name}"], rel=1e-4, abs=1e-6)
            assert ours[f"train/{name}"] == wanted
