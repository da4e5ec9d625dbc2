"""Questions in a chat, to be answered by the policy that learns from its own answers.

A batch is a dict (P = prompts, L = longest prompt); it has one prompt at least:

- `id`: list[str]; names of the questions.
- `question`: list[dict[str, str]]; their fields, as a reward reads them.
- `prompt`: list[str]; the turn of the user, as text.
- `token_BL`: int64 [P, L]; the chat up to where the answer begins, padded on the left.
- `mask_BL`: bool [P, L]; True = real token.
- `draw_B`: list[int]; position in the stream of training, so that each visit of a question has
  another number; 0 outside of training.
- `row_B`: list[int]; index of each question, -1 for a dummy that keeps this device in step.
- `num_targets`: int; prompts that count: the first ones.
- `step_targets`: int; the same, summed over the batches of one optimizer step on this device.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from lightning.pytorch.utilities.rank_zero import rank_zero_only
from numpy.typing import NDArray

from datamodules.instructions.form import user_turn
from datamodules.instructions.templates import chat_template
from datamodules.instructions.tokenizer import ChatTokenizer
from datamodules.questions.source import Question, QuestionSource
from datamodules.records.document import BadSample
from datamodules.records.errors import BadSampleError
from datamodules.records.faults import attempt
from datamodules.records.row_tally import RowTally
from datamodules.records.template import Template
from datamodules.stream.checks import check_bounds, check_ids, check_shares
from datamodules.stream.datamodule import ResumableData
from datamodules.stream.loader import Batch, EvaluationLoader, ResumableLoader
from datamodules.stream.order import Draws, Mixture
from datamodules.text.prompts import left_padded
from datamodules.text.tokenizer import load_tokenizer

Part = Literal["train", "validate", "test", "predict"]
COMMANDS: dict[str, tuple[Part, ...]] = {
    "fit": ("train", "validate"),
    "validate": ("validate",),
    "test": ("test",),
    "predict": ("predict",),
}
"""Parts of the data that each command of the trainer reads."""


@dataclass(frozen=True)
class Prompted:
    """A question with its prompt.

    Attributes:
        question: The question.
        prompt: The turn of the user.
        ids: The chat up to where the answer begins.
    """

    question: Question
    prompt: str
    ids: list[int]


class AskedQuestions:
    """Questions as batches; the docstring of the module describes a batch.

    Args:
        questions: The questions.
        pad: Id of the padding on the left.
    """

    def __init__(self, questions: list[Prompted], pad: int):
        self.questions = questions
        self.pad = pad

    def __len__(self) -> int:
        """Number of questions."""
        return len(self.questions)

    def batch(self, ids: NDArray[np.int64], num_real: int) -> Batch:
        """The real questions; if there is none, the first one with the row id -1."""
        draws, rows = (part.tolist() for part in np.divmod(ids[: max(1, num_real)], len(self)))
        chosen = [self.questions[row] for row in rows]
        token_BL, mask_BL = left_padded([one.ids for one in chosen], self.pad)
        return {
            "id": [one.question.id for one in chosen],
            "question": [one.question.fields for one in chosen],
            "prompt": [one.prompt for one in chosen],
            "token_BL": torch.from_numpy(token_BL),
            "mask_BL": torch.from_numpy(mask_BL),
            "draw_B": draws,
            "row_B": rows if num_real else [-1],
            "num_targets": num_real,
        }


class ChatQuestionData(ResumableData):
    """Questions as the first turn of a user, written by the tokenizer's chat template.

    Args:
        tokenizer: Folder or hub name of a tokenizer.
        train: Sources of the questions that are trained on, shuffled together in every epoch.
        validate: Sources of validation, each question once.
        test: Sources of `test`, likewise.
        predict: Sources of `predict` and of rejection sampling; None takes those of `train`.
        prompt: What the user says: a text with fields of the question in braces.
        system: A text that opens every chat.
        chat_template: Template of a conversation, as of
            `datamodules.instructions.datamodule.InstructionData`.
        max_prompt_tokens: Prompts of more tokens are bad.
        batch_size: Questions per device and micro-batch.
        eval_batch_size: The same outside of training; None takes `batch_size`.
        num_workers: Processes that build batches; 0 builds them in the training process.
        seed: Seed of the order of the questions; independent of the trainer's.
        limit: Number of first questions of each source that are read; None for all.
        max_bad_rate: Share of unusable questions in a source above which the run stops.

    Raises:
        ValueError: A number is out of bounds, or the prompt is no template.
    """

    def __init__(
        self,
        tokenizer: str,
        train: list[QuestionSource],
        validate: list[QuestionSource] | None = None,
        test: list[QuestionSource] | None = None,
        predict: list[QuestionSource] | None = None,
        prompt: str = "{question}",
        system: str | None = None,
        chat_template: str | None = None,
        max_prompt_tokens: int = 2048,
        batch_size: int = 8,
        eval_batch_size: int | None = None,
        num_workers: int = 0,
        seed: int = 0,
        limit: int | None = None,
        max_bad_rate: float = 0.01,
    ):
        super().__init__()
        self.tokenizer = tokenizer
        self.sources: dict[Part, list[QuestionSource]] = {
            "train": train,
            "validate": validate or [],
            "test": test or [],
            "predict": predict or train,
        }
        self.prompt = Template("prompt", prompt)
        self.system = system
        self.chat_template = chat_template
        self.max_prompt_tokens = max_prompt_tokens
        self.batch_size = batch_size
        self.eval_batch_size = batch_size if eval_batch_size is None else eval_batch_size
        self.num_workers = num_workers
        self.seed = seed
        self.limit = limit
        self.max_bad_rate = max_bad_rate
        least = {"batch_size": 1, "eval_batch_size": 1, "num_workers": 0, "seed": 0, "limit": 1}
        bounded = vars(self) | {"limit": 1 if limit is None else limit}
        check_bounds(bounded, least | {"max_prompt_tokens": 1})
        check_shares(vars(self), ["max_bad_rate"])
        self._asked: dict[Part, AskedQuestions] = {}

    def setup(self, stage: str) -> None:
        """Read the questions of a command, write their prompts, and report bad ones.

        Raises:
            ValueError: Too many questions are bad, or two of a part have the same id.
        """
        for part in COMMANDS[stage]:
            if part not in self._asked and self.sources[part]:
                self._asked[part] = self._read(part)

    def train_dataloader(self) -> ResumableLoader:
        """The endless stream of questions."""
        asked = self._asked["train"]
        order = Draws(Mixture([len(asked)], [1.0], self.seed))
        return self.training_loader(asked, order, self.batch_size, self.num_workers)

    def val_dataloader(self) -> EvaluationLoader | list[EvaluationLoader]:
        """Every question of validation once; an empty list where there is none."""
        return self._once("validate") if self.sources["validate"] else []

    def test_dataloader(self) -> EvaluationLoader:
        """Every question of `test` once.

        Raises:
            ValueError: There is none.
        """
        if not self.sources["test"]:
            raise ValueError("there are no test questions: give data.init_args.test a source.")
        return self._once("test")

    def predict_dataloader(self) -> EvaluationLoader:
        """Every question of `predict` once."""
        return self._once("predict")

    def _once(self, part: Part) -> EvaluationLoader:
        asked = self._asked[part]
        return self.evaluation_loader(asked, len(asked), self.eval_batch_size, self.num_workers)

    @property
    def longest_prompt(self) -> int:
        """Tokens of the longest prompt of the command."""
        return max(len(one.ids) for part in self._asked.values() for one in part.questions)

    def _read(self, part: Part) -> AskedQuestions:
        vocabulary = load_tokenizer(self.tokenizer)
        chat = ChatTokenizer(vocabulary, chat_template(self.chat_template, vocabulary.backend))
        good = [one for source in self.sources[part] for one in self._sifted(source, chat)]
        check_ids([one.question for one in good], "questions", "answers")
        rank_zero_only(print)(f"{part}: {len(good):,} questions")
        return AskedQuestions(good, vocabulary.pad)

    def _sifted(self, source: QuestionSource, chat: ChatTokenizer) -> Iterator[Prompted]:
        """The questions of a source with their prompts; bad ones are counted and listed."""
        found = (
            one if isinstance(one, BadSample) else attempt(one.origin, self._asked_of, one, chat)
            for one in source.questions()
        )
        return RowTally().sift(found, self.max_bad_rate, source.name, self.limit)

    def _asked_of(self, question: Question, chat: ChatTokenizer) -> Prompted:
        """A question with its prompt.

        Raises:
            BadSampleError: Nothing is asked, or too much.
        """
        turn = user_turn(self.prompt, question.fields)
        opening = [] if self.system is None else [{"role": "system", "content": self.system}]
        ids = chat.prompt([*opening, turn])
        if len(ids) > self.max_prompt_tokens:
            most = self.max_prompt_tokens
            raise BadSampleError(
                f"a prompt of {len(ids)} tokens, more than max_prompt_tokens {most}"
            )
        return Prompted(question, str(turn["content"]), ids)
