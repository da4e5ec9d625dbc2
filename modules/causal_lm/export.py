"""A trained language model as a Hugging Face folder, and what such a folder computes.

Shape legend: B = rows, L = positions of a row, V = vocabulary.
"""

from collections import Counter
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from modules.causal_lm.architecture.quantization import dequantize
from modules.causal_lm.lora import no_advice
from modules.weights.same_weights import refuse_other_weights

NUM_ROWS = 2
NUM_TOKENS = 32
"""Rows and maximum length of `probe_tokens`."""


def write_folder(model: Any, folder: Path, tokenizer: Any) -> None:
    """Write weights, config and tokenizer.

    Args:
        model: A `transformers` model, adapters merged.
        folder: Where to write.
        tokenizer: Its start and end become the model's.
    """
    for config in (model.config, model.generation_config):
        set_ends(config, tokenizer)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def set_ends(config: Any, tokenizer: Any) -> None:
    """Let a config start and end texts as the tokenizer does; more ends than one are kept."""
    for name in ("bos_token_id", "eos_token_id"):
        ours, theirs = getattr(tokenizer, name), getattr(config, name, None)
        known = theirs if isinstance(theirs, list) else [theirs]
        if ours is not None and ours not in known:
            setattr(config, name, ours)


# Adapters


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
