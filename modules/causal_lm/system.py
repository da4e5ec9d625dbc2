"""Causal language modelling as a Lightning system."""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from math import exp, log
from pathlib import Path
from typing import Any, NotRequired, TypedDict

import torch
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable
from torch import Tensor
from typing_extensions import override

from engine.disk.tensors import SHARD_SIZE
from modules.base.system import System, constant
from modules.base.tokenized import Tokenized
from modules.causal_lm.generate import Generation, check_room, cut, generate
from modules.causal_lm.network import LanguageModel
from modules.causal_lm.tokens.ends import new_text
from modules.causal_lm.tokens.padding import padded
from modules.causal_lm.tokens.prompts import document_prefix
from modules.causal_lm.tokens.same_tokens import check_own_tokens
from modules.causal_lm.tokens.vocabulary import vocabulary_size
from modules.nn.builder import Builder
from modules.nn.generators import generator_of

CARD = {
    "library_name": "transformers",
    "pipeline_tag": "text-generation",
    "code": """from transformers import pipeline

write = pipeline("text-generation", model="this_folder")
print(write("Once upon a time", max_new_tokens=64, do_sample=True)[0]["generated_text"])""",
}
ADAPTER_CARD = {
    "library_name": "peft",
    "pipeline_tag": "text-generation",
    "code": """from peft import AutoPeftModelForCausalLM
from transformers import AutoTokenizer

model = AutoPeftModelForCausalLM.from_pretrained("this_folder")  # reads the base model as well
tokenizer = AutoTokenizer.from_pretrained("this_folder")""",
}
"""How others open an exported folder, with all weights and with adapters alone."""


class TokenBatch(TypedDict):
    """Packed rows of token ids: what a datamodule yields to train a causal language model.

    B = rows, L = row length. Numbers are plain Python, so that none is read back from a device.

    Attributes:
        token_BL: Token ids, int64, padded with 0 at a row's end.
        label_BL: The token that follows each position in the same document, already shifted;
            -100 where nothing follows: a document's last token, and padding.
        position_BL: Position inside the document; 0 where a document starts.
        length_N: Lengths of the documents in order over the flattened rows; the padding at a row's
            end counts as one. They sum to B * L.
        num_targets: Labels of this batch that are not -100.
        step_targets: The same over all micro-batches of the optimizer step, on this rank.
        num_bytes: UTF-8 bytes of the text of the targets.
    """

    token_BL: Tensor
    label_BL: Tensor
    position_BL: Tensor
    length_N: list[int]
    num_targets: int
    step_targets: int
    num_bytes: float


def parts(batch: TokenBatch) -> tuple[Tensor, Tensor, Tensor, list[int]]:
    """Tokens, labels, positions and lengths of a batch, as a network takes them."""
    return batch["token_BL"], batch["label_BL"], batch["position_BL"], batch["length_N"]


class PromptBatch(TypedDict):
    """Prompts to continue.

    Attributes:
        token_BL: Token ids, padded on the left.
        mask_BL: True where a token is real.
        prompt: The prompts as text.
        repeat_B: How many equal prompts come before each among all prompts, so that their
            continuations differ; among those of the batch where it is missing.
    """

    token_BL: Tensor
    mask_BL: Tensor
    prompt: list[str]
    repeat_B: NotRequired[list[int]]


class CausalLM(Tokenized, System):
    """Train a language model to predict the next token.

    Args:
        network: Builds the language model from the size of the tokenizer; called once, under the
            strategy's own context.
        tokenizer: Local folder or hub id; the same as the data's.
        optimizer: Builds the optimizer from the trainable parameters.
        scheduler: Builds the learning-rate schedule from that optimizer.
        generation: How `predict` and the samples drawn while training choose tokens.
        compile: Whether to compile the network with torch.compile.
    """

    def __init__(
        self,
        network: Builder[[int], LanguageModel],
        tokenizer: str,
        optimizer: OptimizerCallable = torch.optim.AdamW,
        scheduler: LRSchedulerCallable = constant,
        generation: Generation = Generation(),  # noqa: B008 - frozen
        compile: bool = False,
    ):
        super().__init__(optimizer, scheduler, compile)
        self.save_hyperparameters()
        self.make_network = network
        self.tokenizer_source = tokenizer
        self.generation = generation
        self.meter.unit = "tokens"

    @override
    def build(self) -> LanguageModel:
        network = self.make_network(vocabulary_size(self.tokenizer))
        check_own_tokens(self.tokenizer, network)
        return network

    @property
    def language_model(self) -> LanguageModel:
        """The network, once it is built."""
        assert isinstance(self.network, LanguageModel)
        return self.network

    @override
    def on_fit_start(self) -> None:
        """Refuse rows that the architecture cannot read, before the first step."""
        super().on_fit_start()
        row_length = getattr(getattr(self.trainer, "datamodule", None), "row_length", None)
        if isinstance(row_length, int):
            self.language_model.limits.check_rows(row_length)

    def training_step(self, batch: TokenBatch, batch_idx: int) -> Tensor:
        """Cross-entropy of the next token, averaged over the targets of the whole step.

        A mixture of experts adds the balance of each micro-batch, by its share of the targets.
        """
        losses = self.language_model.training_loss(*parts(batch))
        self.meter.add("loss", losses.nats, batch["num_targets"])
        if losses.balance is not None:
            self.meter.add("balance", losses.balance, batch["num_targets"])
        self.meter.num_targets += batch["num_targets"]
        return self.step_mean(losses.total, batch["step_targets"])

    def _loss(self, batch: TokenBatch) -> Tensor:
        return self.language_model.loss(*parts(batch))

    # Evaluation

    @override
    def validated(self) -> Collection[str]:
        return ("validate/loss", "validate/perplexity", "validate/bits_per_byte")

    def on_validation_epoch_start(self) -> None:
        """Start the sums of nats, targets and bytes."""
        self.evaluation = self.sum_over_ranks(torch.zeros(3))

    def validation_step(self, batch: TokenBatch, batch_idx: int) -> None:
        """Add nats, targets and bytes of a batch."""
        self.evaluation[0] += self._loss(batch)
        self.evaluation[1] += batch["num_targets"]
        self.evaluation[2] += batch["num_bytes"]

    def on_validation_epoch_end(self) -> None:
        """Log the exact means over all ranks."""
        self._log_evaluation("validate")

    on_test_epoch_start = on_validation_epoch_start
    test_step = validation_step

    def on_test_epoch_end(self) -> None:
        """Log the exact means over all ranks."""
        self._log_evaluation("test")

    def _log_evaluation(self, stage: str) -> None:
        nats, targets, num_bytes = self.sum_over_ranks(self.evaluation).tolist()
        if targets == 0:
            raise ValueError(f"{stage}: no batch had a target")
        loss = nats / targets
        quantities = {"loss": loss, "perplexity": exp(min(loss, 700.0))}
        if num_bytes > 0:
            quantities["bits_per_byte"] = nats / log(2) / num_bytes
        self.report({f"{stage}/{name}": value for name, value in quantities.items()})

    # Generation and export

    def predict_step(self, batch: PromptBatch, batch_idx: int) -> list[dict[str, str]]:
        """Continue prompts; one record each."""
        texts = self._continue(batch["token_BL"], batch["mask_BL"], self.generators_of(batch))
        pairs = zip(batch["prompt"], texts, strict=True)
        return [{"prompt": prompt, "continuation": text} for prompt, text in pairs]

    def sample(self, prompts: list[str]) -> list[str]:
        """Prompts with their continuations, as `predict` makes them."""
        ids = [document_prefix(self.tokenizer, prompt) for prompt in prompts]
        token, mask = padded(ids, device=self.device, pad=ids[0][0])
        generators = self.generators(prompts, repeats(prompts))
        texts = self._continue(token, mask.bool(), generators)
        return [prompt + text for prompt, text in zip(prompts, texts, strict=True)]

    def check_prompts(self, prompts: list[str]) -> None:
        """Refuse prompts that leave no room for a sample.

        Raises:
            ValueError: The longest one and what is to follow are longer than the model's context.
        """
        longest = max(len(document_prefix(self.tokenizer, prompt)) for prompt in prompts)
        check_room(self.language_model, longest, self.generation)

    def generators(self, names: Sequence[str], repeats: Sequence[int]) -> list[torch.Generator]:
        """Generators of texts, each by its prompt and the number of equal prompts before it."""
        pairs = zip(names, repeats, strict=True)
        return [generator_of(self.generation.seed, *pair) for pair in pairs]

    def generators_of(self, batch: PromptBatch) -> list[torch.Generator]:
        """Generators of the prompts of a batch."""
        prompts = batch["prompt"]
        return self.generators(prompts, batch.get("repeat_B", repeats(prompts)))

    def _continue(
        self, token: Tensor, mask: Tensor, generators: list[torch.Generator]
    ) -> list[str]:
        how = self.generation
        model, known = self.language_model, self.tokenizer
        out = generate(model, token, mask, known, how, generators=generators)
        texts = []
        for prompt, is_real, whole in zip(token, mask, out, strict=True):
            given, new = prompt[is_real].tolist(), whole[len(prompt) :].tolist()
            texts.append(cut(new_text(known, given, new), how.stop))
        return texts

    def export(
        self, folder: Path, only_trained: bool = False, max_shard_size: str = SHARD_SIZE
    ) -> None:
        """Write a Hugging Face folder with weights, config and tokenizer, or adapters alone."""
        self.language_model.export(folder, self.tokenizer, only_trained, max_shard_size)

    def reopened(self, at: str, only_trained: bool) -> dict[str, Any]:
        """Options of this system when its network is that of an exported folder."""
        if only_trained:
            return {"tokenizer": at}
        options = {"source": at, "attention": self.language_model.attention}
        network = {"class_path": "modules.causal_lm.network.Pretrained", "init_args": options}
        return {"tokenizer": at, "network": network}

    def load_exported(self, folder: Path) -> list[str]:
        """Load adapters of an exported folder; the names of the parameters that were loaded."""
        names = self.language_model.load_exported(folder)
        return [f"network.model.{name}" for name in names]

    def opens_with(self, only_trained: bool) -> dict[str, str]:
        """How others open an exported folder."""
        return ADAPTER_CARD if only_trained else CARD

    def merge(self) -> None:
        """Merge adapters into the weights they adapt."""
        self.language_model.merge()

    def outputs(self) -> Tensor:
        """Logits of a few rows, as in training."""
        return self.language_model.probe_logits()

    def outputs_of(self, folder: Path) -> Tensor:
        """The same of an exported folder, as others load it."""
        return self.language_model.probe_logits_of(folder)


def repeats(prompts: Iterable[str]) -> list[int]:
    """How many equal prompts come before each."""
    seen = Counter[str]()
    found = []
    for prompt in prompts:
        found.append(seen[prompt])
        seen[prompt] += 1
    return found
