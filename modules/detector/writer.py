"""A language model that continues human texts, to produce machine texts for detectors.

Shape legend: B = prompts, L = longest prompt.
"""

import re
from typing import Any, TypedDict

from torch import Tensor

from modules.causal_lm.generate import Generation
from modules.causal_lm.network import LanguageModel
from modules.causal_lm.system import CausalLM
from modules.nn.builder import Builder
from modules.nn.generators import generator_of


class PairBatch(TypedDict):
    """Prefixes of human texts.

    Attributes:
        token_BL: Token ids, padded on the left.
        mask_BL: True where a token is real.
        prompt: The prefixes as text.
        row_B: Index of each; -1 for a filler that only keeps this rank busy.
        pair_B: `pair_id`, `domain`, `split` and whole `text` of the human text of each.
    """

    token_BL: Tensor
    mask_BL: Tensor
    prompt: list[str]
    row_B: list[int]
    pair_B: list[dict[str, str]]


RECIPE = Generation(max_new_tokens=120, temperature=2.0, top_k=50, top_p=0.96)
"""Sampling of 2310.05165; the temperature prevents repetition."""


class Writer(CausalLM):
    """Write pairs by the recipe of 2310.05165: `predict` gives the human text and a continuation.

    A continuation is drawn again until it has at least `least_tokens` tokens. The longer of the two
    texts is then cut to the word count of the other, prompt included, since length would give the
    class away. The records of a run make a table that `datamodules.labelled_text.source` reads.

    Args:
        network: Builds the language model; called once, under the strategy's own context.
        tokenizer: Local folder or hub id; the same as the data's.
        name: Name of the generator.
        least_tokens: Minimum tokens of a continuation, at most those of `generation`.
        tries: Maximum number of draws; after them the record has no text but a `problem`.
        seed: Of the draws.
        generation: How tokens are chosen.

    Raises:
        ValueError: A continuation could never be long enough, or no try is allowed.
    """

    def __init__(
        self,
        network: Builder[[int], LanguageModel],
        tokenizer: str,
        name: str,
        least_tokens: int = 100,
        tries: int = 10,
        seed: int = 0,
        generation: Generation = RECIPE,
    ):
        super().__init__(network, tokenizer, generation=generation)
        self.save_hyperparameters()
        self.generator_name = name
        self.least_tokens = least_tokens
        self.tries = tries
        self.seed = seed
        if least_tokens > generation.max_new_tokens:
            most = generation.max_new_tokens
            raise ValueError(f"least_tokens is {least_tokens}, more than the {most} that are drawn")
        if tries < 1:
            raise ValueError(f"tries must be at least 1, got {tries}")

    def predict_step(self, batch: PairBatch, batch_idx: int) -> list[dict[str, Any]]:  # type: ignore[override]
        """Two records for each prompt: the human text and the machine text."""
        if batch["row_B"][0] < 0:
            return []
        found: list[str | None] = [None] * len(batch["prompt"])
        for attempt in range(self.tries):
            left = [i for i, text in enumerate(found) if text is None]
            if not left:
                break
            for i, text in zip(left, self.draw(batch, left, attempt), strict=True):
                found[i] = text if self.num_tokens(text) >= self.least_tokens else None
        return [
            record
            for i, text in enumerate(found)
            for record in self.records(batch["prompt"][i], text, batch["pair_B"][i])
        ]

    def draw(self, batch: PairBatch, chosen: list[int], attempt: int) -> list[str]:
        """Continuations of some prompts of a batch, each with the generator of its own pair."""
        names = [batch["pair_B"][i]["pair_id"] for i in chosen]
        generators = [generator_of(self.seed, name, attempt) for name in names]
        return self._continue(batch["token_BL"][chosen], batch["mask_BL"][chosen], generators)

    def num_tokens(self, text: str) -> int:
        """Tokens of a continuation."""
        return len(self.tokenizer.encode(text, add_special_tokens=False))

    def records(
        self, prompt: str, continuation: str | None, pair: dict[str, str]
    ) -> list[dict[str, Any]]:
        """Rows of a table of texts."""
        shared = {"domain": pair["domain"], "pair_id": pair["pair_id"], "split": pair["split"]}
        shared["paired_generator"] = self.generator_name
        machine = {"label": "machine", "generator": self.generator_name, **shared}
        if continuation is None:
            least, most = self.least_tokens, self.generation.max_new_tokens
            reason = f"no continuation of {least} to {most} tokens in {self.tries} tries"
            return [{"text": None, **machine, "problem": reason}]
        text, words = prompt + continuation, pair["text"].split()
        num = min(len(words), len(text.split()))
        whole = " ".join(words[:num])
        human = {"text": whole, "label": "human", "generator": "human", **shared}
        text = first_words(text, num)
        tokens = {"tokens": self.num_tokens(continuation)}
        return [{**human, **tokens}, {"text": text, **machine, **tokens}]


def first_words(text: str, num: int) -> str:
    """The first `num` words of a text, with the whitespace between them."""
    found = re.match(rf"\s*(?:\S+\s+){{0,{num - 1}}}\S+", text)
    return text if found is None else found[0]
