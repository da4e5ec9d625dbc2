"""Group-relative policy optimisation as a Lightning system."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

import torch
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable
from torch import Tensor
from typing_extensions import override

from modules.base.system import System, constant
from modules.causal_lm.generate import Generation, check_room
from modules.causal_lm.loss import IGNORE
from modules.causal_lm.network import LanguageModel
from modules.causal_lm.policy.loss import group_advantages, grpo_loss, kl_estimate
from modules.causal_lm.policy.rejection import Sampled, describe, write_sampled
from modules.causal_lm.policy.reward import Reward
from modules.causal_lm.policy.rollout import Rollout, Rows, check_policy, draw_answers, rows_of
from modules.causal_lm.preference.reference import ReferencedLM
from modules.metrics.image.frechet_metric import over_ranks
from modules.nn.builder import Builder
from modules.nn.generators import generator_of


class PolicyBatch(TypedDict):
    """Prompts that are answered by the policy itself. P = prompts, L = longest prompt.

    Attributes:
        id: Names of the questions; what is drawn depends on them.
        question: The fields of each question, as the reward reads them.
        prompt: What is asked, as text.
        token_BL: Prompts as token ids, padded on the left; [P, L].
        mask_BL: True where a token is real.
        draw_B: Numbers that differ between the visits of a question; 0 outside of training.
        num_targets: Prompts that count: the first ones. There is one at least in the batch.
        step_targets: The same over all micro-batches of the optimizer step, on this rank.
    """

    id: list[str]
    question: list[Mapping[str, str]]
    prompt: list[str]
    token_BL: Tensor
    mask_BL: Tensor
    draw_B: list[int]
    num_targets: int
    step_targets: int


@dataclass(frozen=True)
class Rewarded:
    """An answer and what it is worth.

    Attributes:
        answer: The answer.
        reward: Its reward.
        label: How it fared, in a word.
    """

    answer: Rollout
    reward: float
    label: str


class PolicyLM(ReferencedLM):
    """Train a language model on its own answers by GRPO (Shao et al., 2024).

    In each step the present policy answers each prompt `group` times, a reward judges the answers,
    and one update raises the probability of those above their group's mean. Answers are drawn anew
    for each update: the ratio of the paper's objective is 1 at its gradient, and never clipped.

    What is drawn for a prompt depends on the weights, the seed of `sampling`, the question's id and
    its place in the stream of the data: a resumed run draws the same answers.

    Args:
        network: Builds the language model from the size of the tokenizer.
        tokenizer: Local folder or hub id; the same as the data's.
        reward: Judges answers: a class with `judge(question, answer)`, which returns reward and
            label (`modules.causal_lm.policy.reward`).
        optimizer: Builds the optimizer from the trainable parameters.
        scheduler: Builds the learning-rate schedule from that optimizer.
        generation: How validation, `test`, `predict` and the samples drawn while training answer.
        compile: Whether to compile the network with torch.compile.
        sampling: How training answers: temperature, length, ends, stops and seed. Neither top-k nor
            top-p nor a penalty, which would draw from another distribution than is trained.
        group: Answers to each prompt, 2 or more.
        kl_weight: Weight of the divergence from the model at the start (the paper's beta); with 0
            there is no reference.
        unbiased: Whether neither lengths of answers nor deviations of groups weigh (Dr. GRPO, Liu
            et al., 2025).

    Raises:
        ValueError: A number is out of bounds, or `sampling` leaves out tokens.
    """

    def __init__(
        self,
        network: Builder[[int], LanguageModel],
        tokenizer: str,
        reward: Reward,
        optimizer: OptimizerCallable = torch.optim.AdamW,
        scheduler: LRSchedulerCallable = constant,
        generation: Generation = Generation(),  # noqa: B008 - frozen
        compile: bool = False,
        sampling: Generation = Generation(temperature=1.0, top_k=None),  # noqa: B008 - frozen
        group: int = 8,
        kl_weight: float = 0.0,
        unbiased: bool = False,
    ):
        super().__init__(network, tokenizer, optimizer, scheduler, generation, compile)
        check_policy(sampling)
        if group < 2:
            raise ValueError(f"group must be at least 2, got {group}: an answer needs others")
        if kl_weight < 0:
            raise ValueError(f"kl_weight must not be negative, got {kl_weight}")
        self.reward = reward
        self.sampling = sampling
        self.group = group
        self.kl_weight = kl_weight
        self.unbiased = unbiased
        self.has_reference = kl_weight > 0
        self.labels = set[str](getattr(reward, "labels", ()))
        self.meter.unit = "answers"

    @override
    def on_fit_start(self) -> None:
        """Refuse prompts that leave no room for an answer, before the first step."""
        super().on_fit_start()
        longest = getattr(getattr(self.trainer, "datamodule", None), "longest_prompt", None)
        if isinstance(longest, int):
            check_room(self.language_model, longest, self.sampling)

    # Training

    def training_step(self, batch: PolicyBatch, batch_idx: int) -> Tensor:  # type: ignore[override]
        """Answer, judge, and lower the loss of `policy/loss.py`, averaged over all answers."""
        judged = self.answered(batch, self.sampling, self.group)
        reward_PG = torch.tensor([one.reward for one in judged], device=self.device)
        reward_PG = reward_PG.view(-1, self.group)
        rows = rows_of([one.answer for one in judged], self.device)
        log_p_AL = self.language_model.log_p(rows, self.sampling.temperature)
        reference_AL = self._reference(rows)
        is_token_AL = rows[1] != IGNORE
        total = grpo_loss(
            log_p_AL,
            log_p_AL.detach(),
            group_advantages(reward_PG, not self.unbiased).flatten(),
            is_token_AL,
            kl_weight=self.kl_weight,
            reference_log_p_AL=reference_AL,
            length=self.sampling.max_new_tokens if self.unbiased else None,
        )
        self._note(judged, reward_PG, log_p_AL.detach(), reference_AL, is_token_AL)
        self.meter.add("loss", total, len(judged))
        self.meter.num_targets += len(judged)
        return self.step_mean(total / self.group, batch["step_targets"])

    def answered(self, batch: PolicyBatch, how: Generation, group: int = 1) -> list[Rewarded]:
        """Answers to the prompts of a batch that count, those of a prompt one after another."""
        names = zip(batch["id"], batch["draw_B"], strict=True)
        generators = [
            generator_of(how.seed, id, draw, number)
            for id, draw in names
            for number in range(group)
        ]
        token = batch["token_BL"].repeat_interleave(group, 0)
        mask = batch["mask_BL"].repeat_interleave(group, 0)
        model = self.language_model
        answers = draw_answers(model, self.tokenizer, token, mask, how, generators)
        count = batch["num_targets"] * group  # the others only keep this rank in step
        return [
            Rewarded(one, *self._judge(batch["question"][number // group], one.text))
            for number, one in enumerate(answers[:count])
        ]

    def _judge(self, question: Mapping[str, str], text: str) -> tuple[float, str]:
        reward, label = self.reward.judge(question, text)
        return float(reward), str(label)

    def _reference(self, rows: Rows) -> Tensor | None:
        if not self.has_reference:
            return None
        return self.reference_log_p(rows, self.sampling.temperature)

    def _note(
        self,
        judged: Sequence[Rewarded],
        reward_PG: Tensor,
        log_p_AL: Tensor,
        reference_AL: Tensor | None,
        is_token_AL: Tensor,
    ) -> None:
        """Meter what shows whether a policy learns the task, or how to please its judge."""
        num_tokens = sum(len(one.answer.tokens) for one in judged)
        num_cut = sum(not one.answer.is_ended for one in judged)
        is_equal_P = reward_PG.amax(1) == reward_PG.amin(1)
        self.meter.add("reward", reward_PG.sum(), len(judged))
        self.meter.add("no_signal", is_equal_P.sum(), len(is_equal_P))
        self.meter.add("length", self._scalar(num_tokens), len(judged))
        self.meter.add("cut", self._scalar(num_cut), len(judged))
        self.meter.add("entropy", -log_p_AL.sum(), num_tokens)  # of tokens drawn from the policy
        if reference_AL is not None:
            kl_AL = kl_estimate(log_p_AL, reference_AL) * is_token_AL
            self.meter.add("kl", kl_AL.sum(), num_tokens)
        self._note_labels([one.label for one in judged])

    def _note_labels(self, labels: Sequence[str]) -> None:
        """Meter the share of each label; all ranks meter the same ones in the same order."""
        counts = Counter(labels)
        self.labels |= set(over_ranks(sorted(counts)))
        for label in sorted(self.labels):
            name = f"answers/{label}"
            # a label that is new since the last reading counts the answers before it as well
            count = self.meter.counts["reward"] - self.meter.counts.get(name, 0)
            self.meter.add(name, self._scalar(counts[label]), count)

    def _scalar(self, value: float) -> Tensor:
        return torch.tensor(float(value), device=self.device)

    # Evaluation

    validated = System.validated  # labels are known to the reward alone

    @override
    def on_validation_epoch_start(self) -> None:
        """Start to collect answers."""
        self.judged: list[tuple[float, str, int]] = []

    @override
    def validation_step(self, batch: PolicyBatch, batch_idx: int) -> None:  # type: ignore[override]
        """Answer each prompt once, as `generation` says."""
        found = self.answered(batch, self.generation)
        self.judged += [(one.reward, one.label, len(one.answer.tokens)) for one in found]

    on_test_epoch_start = on_validation_epoch_start
    test_step = validation_step  # type: ignore[assignment]

    @override
    def _log_evaluation(self, stage: str) -> None:
        found = over_ranks(self.judged)
        if not found:
            raise ValueError(f"{stage}: there was no question")
        rewards, labels, lengths = zip(*found, strict=True)
        row = {"reward": sum(rewards) / len(found), "length": sum(lengths) / len(found)}
        for label in sorted(self.labels | set(labels)):
            row[f"answers/{label}"] = labels.count(label) / len(found)
        self.report({f"{stage}/{name}": value for name, value in row.items()})

    def predict_step(self, batch: PolicyBatch, batch_idx: int) -> list[dict[str, Any]]:  # type: ignore[override]
        """Answer each prompt once; one record each."""
        judged = self.answered(batch, self.generation)
        names = zip(batch["id"], batch["prompt"], strict=True)
        pairs = zip(names, judged, strict=False)  # a prompt that keeps this rank in step has none
        return [{"id": id, "prompt": prompt, **record(one)} for (id, prompt), one in pairs]

    # Rejection sampling

    def rejection_sample(self, datamodule: Any, folder: Path, right: float) -> Iterator[str]:
        """Answer the questions of `predict`, and write what can be tuned on; yields lines to show.

        Each is answered `group` times as `sampling` says. Written are all answers, the right ones
        as instructions, and pairs of a right and a wrong one (`policy/rejection.py`).

        Args:
            datamodule: The data, with a loader for predict.
            folder: Where to write; new or empty.
            right: The least reward of a right answer.
        """
        groups = []
        for batch in datamodule.predict_dataloader():
            moved = datamodule.transfer_batch_to_device(batch, self.device, 0)
            judged = self.answered(moved, self.sampling, self.group)
            names = zip(batch["id"], batch["prompt"], strict=True)
            for (id, prompt), start in zip(names, range(0, len(judged), self.group), strict=False):
                records = [record(one) for one in judged[start : start + self.group]]
                groups.append(Sampled(id, prompt, records))
        groups = over_ranks(groups)
        yield from describe(groups, right)
        if self.global_rank == 0:
            yield from write_sampled(groups, folder, right)


def record(judged: Rewarded) -> dict[str, Any]:
    """An answer as a record of a file."""
    return {"answer": judged.answer.text, "reward": judged.reward, "label": judged.label}
