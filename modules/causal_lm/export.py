"""A trained language model as a Hugging Face folder, and what such a folder computes.

Shape legend: B = rows, L = positions of a row, V = vocabulary.
"""

from collections import Counter
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from engine.disk.tensors import SHARD_SIZE
from modules.causal_lm.architecture.quantization import dequantize
from modules.causal_lm.lora import has_adapters, no_advice
from modules.weights.origin import located
from modules.weights.same_weights import refuse_other_weights

NUM_ROWS = 2
NUM_TOKENS = 32
"""Rows and maximum length of `probe_tokens`."""


def write_folder(
    model: Any, folder: Path, tokenizer: Any, max_shard_size: str = SHARD_SIZE
) -> None:
    """Write weights, config and tokenizer.

    Args:
        model: A `transformers` model, adapters merged.
        folder: Where to write.
        tokenizer: Its start and end become the model's.
        max_shard_size: Largest file of weights, such as 5GB.
    """
    for config in (model.config, model.generation_config):
        set_ends(config, tokenizer)
    model.save_pretrained(folder, max_shard_size=max_shard_size)
    tokenizer.save_pretrained(folder)


def set_ends(config: Any, tokenizer: Any) -> None:
    """Let a config start and end texts as the tokenizer does; more ends than one are kept."""
    for name in ("bos_token_id", "eos_token_id"):
        ours, theirs = getattr(tokenizer, name), getattr(config, name, None)
        known = theirs if isinstance(theirs, list) else [theirs]
        if ours is not None and ours not in known:
            setattr(config, name, ours)


# Adapters


def write_adapter(model: Any, folder: Path, tokenizer: Any, source: str) -> None:
    """Write adapters as a folder of peft, which names the model that they stand on.

    Args:
        model: A model of peft.
        folder: Where to write.
        tokenizer: Written beside them.
        source: The base: a folder of this machine or a name on the hub.
    """
    for config in model.peft_config.values():
        config.base_model_name_or_path = source
    with no_advice():
        model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def read_adapter(model: Any, folder: Path) -> list[str]:
    """Load adapters into a model that has such; the names of what was loaded.

    Raises:
        ValueError: The folder's adapters are others.
    """
    from peft import load_peft_weights, set_peft_model_state_dict

    try:
        weights = load_peft_weights(str(folder), device="cpu")
        set_peft_model_state_dict(model, weights)
    except (OSError, RuntimeError, ValueError, SafetensorError) as error:
        raise ValueError(f"{folder} holds no adapters of this model: {error}") from error
    trained = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
    if len(trained) != len(weights):
        raise ValueError(
            f"{folder} holds {len(weights)} tensors of adapters, the model has {len(trained)}"
        )
    return trained


def merged(model: Any) -> Any:
    """A model with its adapters merged into the weights they adapt; others as they are.

    Adapters learned on top of weights in few bits are merged into what those stand for.

    Where an adapter changes one of two tied matrices, as the output layer but not the embedding,
    they are two from then on, and the config says so.
    """
    merge = getattr(model, "merge_and_unload", None)
    if merge is None:
        return model
    dequantize(model)
    untie_adapted(model)
    with no_advice():
        whole = merge()
    tie_equal(whole)
    return whole


def untie_adapted(model: nn.Module) -> None:
    """Give adapted layers weights of their own where others share them."""
    owners = Counter(id(p) for m in model.modules() for p in m.parameters(recurse=False))
    for layer in model.modules():
        base = getattr(layer, "base_layer", None)
        if not isinstance(base, nn.Module):
            continue
        for name, weight in base.named_parameters(recurse=False):
            if owners[id(weight)] > 1:
                owners[id(weight)] -= 1
                setattr(base, name, nn.Parameter(weight.detach().clone(), weight.requires_grad))


def tie_equal(model: Any) -> None:
    """Tie embedding and output layer again where they are still the same; else say that not."""
    texts = model.config.get_text_config()
    first, last = model.get_input_embeddings(), model.get_output_embeddings()
    if last is None or not getattr(texts, "tie_word_embeddings", False):
        return
    if torch.equal(first.weight, last.weight):
        last.weight = first.weight
        return
    for config in (model.config, texts):
        config.tie_word_embeddings = False


# Comparison


def probe_tokens(vocab_size: int, context: int | None, device: torch.device) -> Tensor:
    """Token ids [B, L] that spread over the vocabulary, the same at every call."""
    generator = torch.Generator().manual_seed(0)
    length = NUM_TOKENS if context is None else min(NUM_TOKENS, context)
    token_BL = torch.randint(vocab_size, (NUM_ROWS, length), generator=generator)
    token_BL[0, : min(2, length)] = torch.tensor([0, vocab_size - 1])[:length]  # both ends
    return token_BL.to(device)


@torch.no_grad()
def logits_of_folder(folder: Path, model: Any, token_BL: Tensor) -> Tensor:
    """Logits [B, L, V] of the model in a folder, as anybody would load it.

    Args:
        folder: What was written.
        model: The model in memory, whose weights the folder must hold.
        token_BL: Token ids.

    Raises:
        ValueError: A weight is not what was written.
    """
    from transformers import AutoModelForCausalLM

    fresh = AutoModelForCausalLM.from_pretrained(folder, dtype=model.dtype).eval()
    refuse_other_weights(model.state_dict(), fresh.state_dict())
    logits: Tensor = fresh(input_ids=token_BL.cpu(), use_cache=False).logits
    return logits


class ExportedModel(nn.Module):
    """What a language model can do with folders; a subclass holds the model.

    Attributes:
        model: Of `transformers`, or of peft.
        attention: How rows are attended.
        source: Folder or hub id that the model was read from; None where it is from scratch.
    """

    model: Any
    attention: str
    source: str | None = None

    def export(
        self,
        folder: Path,
        tokenizer: Any,
        only_trained: bool = False,
        max_shard_size: str = SHARD_SIZE,
    ) -> None:
        """Write a Hugging Face folder; adapters are merged into the weights they adapt.

        Args:
            folder: Where to write.
            tokenizer: Written beside the weights; its start and end become the model's.
            only_trained: Whether adapters are written alone, as a folder of peft.
            max_shard_size: Largest file of weights, such as 5GB.

        Raises:
            ValueError: Adapters are wanted alone, but there are none.
        """
        if not only_trained:
            self.merge()
            write_folder(self.model, folder, tokenizer, max_shard_size)
            return
        if not has_adapters(self.model) or self.source is None:
            raise ValueError(
                "only_trained: the network has no adapters (lora) on a frozen model; all of it is "
                "trained"
            )
        write_adapter(self.model, folder, tokenizer, located(self.source))

    def load_exported(self, folder: Path) -> list[str]:
        """Load adapters that were written alone, where a folder holds such.

        Returns:
            The names of the parameters that were loaded.
        """
        if not (folder / "adapter_config.json").is_file():
            return []
        return read_adapter(self.model, folder)

    def merge(self) -> None:
        """Merge adapters into the weights they adapt, where there are any."""
        self.model = merged(self.model)

    def _probe(self) -> Tensor:
        known: Any = self
        return probe_tokens(known.vocab_size, known.readable, self.model.device)

    @torch.no_grad()
    def probe_logits(self) -> Tensor:
        """Logits [B, L, V] of `probe_tokens`, on the way that training takes."""
        if self.attention == "flash_attention_2":
            self.model.set_attn_implementation("sdpa")  # the other needs a GPU
        token_BL = self._probe()
        B, L = token_BL.shape
        position_BL = torch.arange(L, device=token_BL.device).expand(B, L)
        return cast(Tensor, self(token_BL, position_BL, [L] * B))

    def probe_logits_of(self, folder: Path) -> Tensor:
        """The same of an exported folder, on the way that others take.

        Raises:
            ValueError: A weight of the folder is not the one here.
        """
        token_BL = self._probe()
        return logits_of_folder(folder, self.model, token_BL)
