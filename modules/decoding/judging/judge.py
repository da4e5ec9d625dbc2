"""LLM judges of two answers: a chat model at an endpoint, and a local causal model."""

from typing import Any

import torch

from modules.causal_lm.tokens.prompts import prompt_ids
from modules.decoding.judging.replies import scores_of
from modules.decoding.judging.verdicts import Verdict
from modules.endpoint.client import Endpoint
from modules.prompting.templates import as_chat

RULES = (
    "You compare two answers to the same question. Ask of each whether it is right, whether it "
    "helps the one who asked, and whether it is clear. Neither its place nor its length counts."
)
"""Instruction of a judge; our own wording."""
SHOWN = "Question:\n{question}\n\nAnswer 1:\n{one}\n\nAnswer 2:\n{other}\n\n"
"""A question with two answers."""
SCORES = (
    "Write two scores from 1 (useless) to 10 (perfect) on the first line, that of answer 1 first, "
    "with a space between them and nothing else on that line. Give your reasons below it."
)
"""What a judge at an endpoint is asked for."""
BETTER = "The better one is answer number"
"""The text that a local judge continues."""


class EndpointJudge:
    """A chat model that begins its reply with two scores.

    Args:
        endpoint: The judge, asked by `/chat/completions`.
        temperature: Of its replies.
        max_tokens: Maximum of its replies, reasoning included.
        rules: Its instruction.

    Attributes:
        at_once: Maximum number of concurrent questions.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        temperature: float = 0.0,
        max_tokens: int = 500,
        rules: str = RULES,
    ):
        self.endpoint = endpoint
        self.temperature = temperature
        self.max_tokens = max_tokens
        self.rules = rules
        self.at_once = endpoint.at_once

    def compare(self, question: str, one: str, other: str) -> Verdict:
        """Compare two answers, shown in this order."""
        shown = SHOWN.format(question=question, one=one, other=other) + SCORES
        messages = [
            {"role": "system", "content": self.rules},
            {"role": "user", "content": shown},
        ]
        choice = self.endpoint.chat(
            messages, temperature=self.temperature, max_tokens=self.max_tokens
        )
        message = choice.get("message")
        content = message.get("content") if isinstance(message, dict) else None
        reply = content if isinstance(content, str) else ""
        one_score, other_score = scores_of(reply) or (None, None)
        finish = str(choice.get("finish_reason") or "")
        return Verdict(one_score, other_score, reply, finish)


class LocalJudge:
    """A causal model: the log-probabilities of "1" and of "2" after a prompt.

    Args:
        model: Causal model of transformers.
        tokenizer: Its tokenizer.
        is_chat: Whether the prompt is made by the tokenizer's chat template.
        rules: Its instruction.
    """

    def __init__(self, model: Any, tokenizer: Any, is_chat: bool = False, rules: str = RULES):
        self.model = model.eval()
        self.tokenizer = tokenizer
        self.is_chat = is_chat
        self.rules = rules

    def prompt(self, question: str, one: str, other: str) -> str:
        """The prompt up to the number of the better answer.

        Raises:
            ValueError: A chat's tokenizer has no template, or the template refuses the turns.
        """
        shown = SHOWN.format(question=question, one=one, other=other)
        if not self.is_chat:
            return f"{self.rules}\n\n{shown}{BETTER}"
        messages = [{"role": "user", "content": f"{self.rules}\n\n{shown}Which one is better?"}]
        return as_chat(messages, self.tokenizer) + BETTER

    @torch.no_grad()
    def compare(self, question: str, one: str, other: str) -> Verdict:
        """Compare two answers; scores are log-probabilities in nats.

        Answers too long for the model give a verdict without scores.
        """
        ids, numbers = self.tokens(self.prompt(question, one, other))
        context = getattr(self.model.config, "max_position_embeddings", None)
        if context is not None and len(ids) > context:
            reason = f"a prompt of {len(ids)} tokens for a model of {context} positions"
            return Verdict(None, None, reason)
        token_1L = torch.tensor([ids], device=self.model.device)
        logprob_V = self.model(input_ids=token_1L).logits[0, -1].double().log_softmax(0)
        first, second = logprob_V[torch.tensor(numbers)].tolist()
        return Verdict(first, second)

    def tokens(self, prompt: str) -> tuple[list[int], list[int]]:
        """Ids of a prompt, and the ids that make it end in 1 and in 2.

        Raises:
            ValueError: The tokenizer does not write the numbers with one token each.
        """
        special = not self.is_chat  # a chat template has written them
        ends = [prompt_ids(self.tokenizer, f"{prompt} {n}", special) for n in (1, 2)]
        if len(ends[0]) != len(ends[1]) or ends[0][:-1] != ends[1][:-1]:
            raise ValueError('the tokenizer does not write "1" and "2" with one last token each.')
        return ends[0][:-1], [ends[0][-1], ends[1][-1]]
