"""In-context classification: the label word that a model finds most likely after a prompt.

The model is asked as in Han et al. (2023): argmax over label words y of p(y | demonstrations, x).
Scores of questions come from `scored`; ranks that are given the same questions may share them.

Shape legend: N = questions, C = label words, F = prompts that say nothing.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import log
from typing import Any, Literal, TypedDict, get_args

import torch
from torch import Tensor

from modules.base.rank_share import RankShare
from modules.causal_lm.network import LanguageModel
from modules.icl.choice_likelihood import choice_log_p

PROMPT, CONTENT_FREE = "prompt", "content_free"
"""The field that is read before the choices, and how the names of those begin that hold the same
prompt about nothing."""
LabelBias = Literal["none", "contextual", "batch"]
"""What is done about label words that are likely whatever is asked; see `calibrated`."""


class InContextBatch(TypedDict):
    """Questions, in plain Python.

    Attributes:
        id: Ids of the questions.
        question: Fields of each: `prompt`, the demonstrations and what is asked, and for contextual
            calibration one or more such as `content_free`, the same about a text that says nothing.
        choices: Label words of each, verbatim with their leading space.
        answer: Index of the right one.
    """

    id: list[str]
    question: list[dict[str, str]]
    choices: list[list[str]]
    answer: list[int]


@dataclass(frozen=True)
class Scored:
    """A question with the likelihood of its label words.

    Attributes:
        id: Of the question.
        choices: Its label words.
        answer: Index of the right one.
        log_p: Log-probability of each after the prompt, in nats.
        content_free: The same after each prompt that says nothing.
    """

    id: str
    choices: list[str]
    answer: int
    log_p: list[float]
    content_free: list[list[float]]


@dataclass(frozen=True)
class InContextResult:
    """How well a model answers.

    Attributes:
        num: Questions.
        accuracy: Share that is answered rightly, after calibration.
        loss: Label-only loss -log p(y | demonstrations, x), in nats, on average.
        choice_loss: The same among the label words of the question, after calibration.
        predicted: Share of the questions that each word is the prediction of; words in order.
        majority: Share of the most frequent right word, that is the accuracy of always saying it.
        chance: Accuracy of a word drawn at random.
    """

    num: int
    accuracy: float
    loss: float
    choice_loss: float
    predicted: dict[str, float]
    majority: float
    chance: float

    @property
    def quantities(self) -> dict[str, float]:
        """All numbers by name, ready for a log."""
        names = ("accuracy", "loss", "choice_loss", "majority", "chance")
        shares = {f"predicted/{word.strip()}": share for word, share in self.predicted.items()}
        return {"questions": float(self.num)} | {n: getattr(self, n) for n in names} | shares


def scored(
    language_model: LanguageModel,
    tokenizer: Any,
    batch: InContextBatch,
    bias: LabelBias = "none",
    tokens_per_batch: int = 8192,
    share: RankShare = RankShare(),  # noqa: B008 - frozen
) -> list[Scored]:
    """The likelihood of the label words of questions.

    Args:
        language_model: Reads the prompts; it should be in evaluation mode.
        tokenizer: Its tokenizer.
        batch: The questions.
        bias: What will be done about label bias: "contextual" reads more prompts.
        tokens_per_batch: As `choice_log_p` takes it.
        share: As `choice_log_p` takes it; all ranks get all questions.

    Raises:
        ValueError: A question lacks a field or a right choice, its choices begin alike, it is
            longer than the model reads, or its log-probabilities are not finite; names it.
    """
    check_answers(batch)
    pairs = zip(batch["id"], batch["question"], strict=True)
    prompts = [prompts_of(*pair, bias == "contextual") for pair in pairs]
    asked = [(n, prompt) for n, several in enumerate(prompts) for prompt in several]
    log_p_NC = choice_log_p(
        language_model,
        tokenizer,
        [prompt for _, prompt in asked],
        [batch["choices"][n] for n, _ in asked],
        [batch["id"][n] for n, _ in asked],
        tokens_per_batch,
        share,
    )
    found: list[list[list[float]]] = [[] for _ in prompts]
    for (n, _), log_p_C in zip(asked, log_p_NC, strict=True):
        found[n].append(finite(batch["id"][n], log_p_C[: len(batch["choices"][n])]))
    columns = zip(batch["id"], batch["choices"], batch["answer"], found, strict=True)
    return [Scored(name, words, right, own, free) for name, words, right, (own, *free) in columns]


def check_answers(batch: InContextBatch) -> None:
    """Refuse questions that have no wrong answer, or no right one.

    Raises:
        ValueError: One has fewer than two choices, or none of them is the answer; names it.
    """
    for name, choices, answer in zip(batch["id"], batch["choices"], batch["answer"], strict=True):
        if len(choices) < 2 or not 0 <= answer < len(choices):
            raise ValueError(f"question {name!r} has {len(choices)} choices and answer {answer}")


def prompts_of(name: str, question: Mapping[str, str], with_free: bool) -> list[str]:
    """The prompt of a question, then, if wanted, those that say nothing.

    Raises:
        ValueError: There is none; names the question and its fields.
    """
    free = [value for field, value in question.items() if field.startswith(CONTENT_FREE)]
    for field, is_there in ((PROMPT, PROMPT in question), (CONTENT_FREE, free or not with_free)):
        if not is_there:
            raise ValueError(f"question {name!r}: no {field!r} among {', '.join(question)}")
    return [question[PROMPT], *(free if with_free else [])]


def finite(name: str, log_p_C: Tensor) -> list[float]:
    """Log-probabilities as numbers.

    Raises:
        ValueError: One is not finite; names the question.
    """
    found: list[float] = log_p_C.tolist()
    if not log_p_C.isfinite().all():
        raise ValueError(f"question {name!r}: the log-probabilities of its choices are {found}")
    return found


# Calibration for label bias, and the result


def calibrated(questions: Sequence[Scored], bias: LabelBias = "none") -> list[Tensor]:
    """Log-probabilities of the label words of each question, normalised over them, without bias.

    - "none": as they are.
    - "contextual": minus log p(y | content-free), where p is the mean over the prompts that say
      nothing (Zhao et al., 2021, sec. 5, with W = diag(p)^-1 and b = 0).
    - "batch": minus the mean of log p(y | x) over all questions (batch calibration of Zhou
      et al., 2023, additive). It supposes that labels are about balanced.

    Returns:
        One tensor [C] a question, float64, each normalised once more.

    Raises:
        ValueError: An unknown way, questions without a content-free prompt, or for "batch"
            questions with other label words than the first.
    """
    own = [torch.tensor(one.log_p).double().log_softmax(-1) for one in questions]
    if bias == "none":
        return own
    if bias == "contextual":
        biases = [contextual_bias(one) for one in questions]
    elif bias == "batch":
        biases = batch_biases(questions, own)
    else:
        known = ", ".join(get_args(LabelBias))
        raise ValueError(f"calibration must be one of {known}, got {bias!r}")
    return [(a - b).log_softmax(-1) for a, b in zip(own, biases, strict=True)]


def contextual_bias(question: Scored) -> Tensor:
    """Log of the mean probability [C] of each label word after prompts that say nothing."""
    if not question.content_free:
        raise ValueError(f"question {question.id!r} was read without its {CONTENT_FREE!r} prompt")
    log_p_FC = torch.tensor(question.content_free).double().log_softmax(-1)
    return log_p_FC.logsumexp(0) - log(len(log_p_FC))


def batch_biases(questions: Sequence[Scored], log_p: Sequence[Tensor]) -> list[Tensor]:
    """Mean log-probability [C] of the label words of each question, over all questions.

    Words are matched by their text, so that their order may differ.
    """
    words = sorted(questions[0].choices) if questions else []
    for one in questions:
        if sorted(one.choices) != words:
            raise ValueError(
                f"batch calibration needs one set of choices: question {one.id!r} has "
                f"{sorted(one.choices)}, the first one {words}; take another calibration"
            )
    place = [[words.index(choice) for choice in one.choices] for one in questions]
    inverse = [[one.choices.index(word) for word in words] for one in questions]
    rows = [row[order] for row, order in zip(log_p, inverse, strict=True)]
    mean_C = torch.stack(rows).mean(0) if rows else torch.zeros(0)
    return [mean_C[order] for order in place]


def predictions(questions: Sequence[Scored], bias: LabelBias = "none") -> list[int]:
    """Index of the likeliest label word of each question; the first one of equals."""
    return [int(log_p_C.argmax()) for log_p_C in calibrated(questions, bias)]


def summarise(questions: Sequence[Scored], bias: LabelBias = "none") -> InContextResult:
    """Accuracy and losses of questions.

    Raises:
        ValueError: There is no question, or they cannot be calibrated so.
    """
    if not questions:
        raise ValueError("there are no questions")
    num, log_p = len(questions), calibrated(questions, bias)
    guess = [int(log_p_C.argmax()) for log_p_C in log_p]
    said = Counter(one.choices[index] for one, index in zip(questions, guess, strict=True))
    right = Counter(one.choices[one.answer] for one in questions)
    words = sorted({word for one in questions for word in one.choices})
    pairs = list(zip(questions, log_p, guess, strict=True))
    return InContextResult(
        num=num,
        accuracy=sum(index == one.answer for one, _, index in pairs) / num,
        loss=-sum(one.log_p[one.answer] for one in questions) / num,
        choice_loss=-sum(float(log_p_C[one.answer]) for one, log_p_C, _ in pairs) / num,
        predicted={word: said[word] / num for word in words},
        majority=max(right.values()) / num,
        chance=sum(1 / len(one.choices) for one in questions) / num,
    )
