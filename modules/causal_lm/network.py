"""Any Hugging Face causal language model, reading packed rows.

Shape legend: B = rows, L = row length, D = width, V = vocabulary, T = B * L.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, Protocol, cast

import torch
from torch import Tensor, nn

from modules.causal_lm.attention import register
from modules.causal_lm.loss import chunked_next_token_loss, next_token_loss
from modules.nn.attention import Documents

Attention = Literal["documents", "sdpa", "flash_attention_2", "eager"]
"""How rows are attended: `documents` is ours, exact, without an L x L mask, and uses torch's
variable-length flash kernel on a GPU; the others are Hugging Face's, told apart by the positions."""

Option = int | float | bool | str | None | list[int] | list[str] | dict[str, int | float | str]


@dataclass(frozen=True)
class Lora:
    """Low-rank adapters (Hu et al., 2021); everything else is frozen.

    Attributes:
        rank: r of the update B A.
        alpha: The update is scaled by alpha / r.
        dropout: Probability of dropping an input of A.
        targets: Ends of the names of the linear layers that get an adapter.
    """

    rank: int = 8
    alpha: float = 16.0
    dropout: float = 0.0
    targets: list[str] = field(default_factory=lambda: ["q_proj", "k_proj", "v_proj", "o_proj"])


class LanguageModel(nn.Module):
    """A causal language model and what training needs of it.

    Args:
        model: A `transformers` causal language model.
        attention: How rows are attended.
        activation_checkpointing: Whether blocks are computed again in backward, to save memory.
        loss_chunk: Positions whose logits are held at a time; all at once where None.
    """

    def __init__(
        self,
        model: nn.Module,
        attention: Attention = "documents",
        activation_checkpointing: bool = False,
        loss_chunk: int | None = None,
    ):
        super().__init__()
        self.model = cast(Any, model)  # transformers' mixins are not typed
        self.attention = attention
        self.loss_chunk = loss_chunk
        if activation_checkpointing:
            checkpoint_activations(self.model)
        if loss_chunk is not None:
            check_plain_head(self.model)

    @property
    def vocab_size(self) -> int:
        """V, the number of rows of the embedding."""
        return int(self.model.config.vocab_size)

    @property
    def context(self) -> int | None:
        """Longest sequence the model was made for, in tokens; None where the config does not say."""
        return getattr(self.model.config, "max_position_embeddings", None)

    def forward(self, token_BL: Tensor, position_BL: Tensor, length_N: list[int]) -> Tensor:
        """Logits [B, L, V] of the next token at every position of packed rows.

        Args:
            token_BL: Token ids.
            position_BL: Position inside the document; 0 where a document starts.
            length_N: Lengths of the documents in order; they sum to B * L.
        """
        return self._run(self.model, token_BL, position_BL, length_N).logits

    def loss(
        self, token_BL: Tensor, label_BL: Tensor, position_BL: Tensor, length_N: list[int]
    ) -> Tensor:
        """Sum of the next-token cross-entropy over positions with a label, in nats."""
        if self.loss_chunk is None:
            logits = self(token_BL, position_BL, length_N)
            return next_token_loss(logits.flatten(0, 1), label_BL.flatten())
        body, head = self.model.get_decoder(), self.model.get_output_embeddings()
        hidden = self._run(body, token_BL, position_BL, length_N).last_hidden_state
        flat = hidden.flatten(0, 1)
        return chunked_next_token_loss(head, flat, label_BL.flatten(), self.loss_chunk)

    def _run(self, model: nn.Module, token: Tensor, position: Tensor, length: list[int]) -> Any:
        extra = {}
        if self.attention == "documents":
            extra["documents"] = Documents.of(length, token.device)
        return model(input_ids=token, position_ids=position, use_cache=False, **extra)

    def generate(self, token_BL: Tensor, mask_BL: Tensor, **arguments: Any) -> Tensor:
        """Continue left-padded prompts by the `generate` of transformers.

        Args:
            token_BL: Prompts, padded on the left.
            mask_BL: True where a token is real.
            arguments: Of transformers' `generate`.
        """
        with self.generating() as model:
            return model.generate(
                input_ids=token_BL,
                attention_mask=mask_BL.long(),
                synced_gpus=is_sharded(self),
                **arguments,
            )

    @contextmanager
    def generating(self) -> Iterator[Any]:
        """The `transformers` model, set up to attend with a cache and left padding."""
        with_cache = "sdpa" if self.attention == "documents" else self.attention
        self.model.set_attn_implementation(with_cache)
        try:
            yield self.model
        finally:
            self.model.set_attn_implementation(self.attention)

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """Compile the inner model; attention runs as it is, so documents of new lengths compile nothing."""
        self.model.compile(*args, **kwargs)

    def export(self, folder: Path) -> None:
        """Write a Hugging Face folder; adapters are merged into the weights they adapt."""
        merge = getattr(self.model, "merge_and_unload", None)
        model = merge() if merge is not None else self.model
        model.save_pretrained(folder)


def checkpoint_activations(model: Any) -> None:
    """Compute blocks again in backward; transformers renamed its method for that on the way to 6."""
    old = "gradient_checkpointing_enable"
    name = "activation_checkpointing_enable"
    getattr(model, name if hasattr(model, name) else old)({"use_reentrant": False})


def is_sharded(module: nn.Module) -> bool:
    """Whether ranks hold parts of the parameters, so that all must take every step."""
    return any(hasattr(p, "device_mesh") for p in module.parameters())


class Builder(Protocol):
    """Makes the network when the strategy is ready for it.

    YAML gives class and options; the system adds the size of the tokenizer.
    """

    def __call__(self, tokenizer_size: int) -> LanguageModel:
        """Build it."""


class FromConfig(LanguageModel):
    """A language model from scratch.

    Args:
        tokenizer_size: Number of token ids; given by the system.
        options: Options of the Hugging Face config, such as hidden_size; `vocab_size` is the
            tokenizer's size where it is not given.
        model_type: Hugging Face name of the architecture.
        attention: How rows are attended.
        activation_checkpointing: Whether blocks are computed again in backward.
        loss_chunk: Positions whose logits are held at a time; all at once where None.

    Raises:
        ValueError: An unknown architecture or option, or a vocabulary smaller than the tokenizer.
    """

    def __init__(
        self,
        tokenizer_size: int,
        options: dict[str, Option],
        model_type: str = "llama",
        attention: Attention = "documents",
        activation_checkpointing: bool = False,
        loss_chunk: int | None = None,
    ):
        from transformers import AutoModelForCausalLM

        config = make_config(model_type, {"vocab_size": tokenizer_size, **options})
        check_vocabulary(tokenizer_size, config.vocab_size, f"options of {model_type}")
        register()
        model = AutoModelForCausalLM.from_config(
            config, attn_implementation=attention, dtype=torch.get_default_dtype()
        )
        check_attention(model, attention)
        super().__init__(model, attention, activation_checkpointing, loss_chunk)


class Pretrained(LanguageModel):
    """A pretrained language model, trained further, whole or through adapters.

    Args:
        tokenizer_size: Number of token ids; given by the system.
        source: Local folder or hub id.
        lora: Adapters; everything is trained where None.
        revision: Branch, tag or commit on the hub.
        attention: How rows are attended.
        activation_checkpointing: Whether blocks are computed again in backward.
        loss_chunk: Positions whose logits are held at a time; all at once where None.

    Raises:
        FileNotFoundError: A local folder that is not there.
        ValueError: A vocabulary smaller than the tokenizer; before any weight is read.
    """

    def __init__(
        self,
        tokenizer_size: int,
        source: str,
        lora: Lora | None = None,
        revision: str = "main",
        attention: Attention = "documents",
        activation_checkpointing: bool = False,
        loss_chunk: int | None = None,
    ):
        from transformers import AutoConfig, AutoModelForCausalLM

        check_source(source)
        config = AutoConfig.from_pretrained(source, revision=revision)
        check_vocabulary(tokenizer_size, config.vocab_size, source)
        register()
        model = AutoModelForCausalLM.from_pretrained(
            source,
            revision=revision,
            attn_implementation=attention,
            dtype=torch.get_default_dtype(),
        )
        check_attention(model, attention)
        if lora is not None:
            model = adapt(model, lora)
        super().__init__(model, attention, activation_checkpointing, loss_chunk)


def adapt(model: nn.Module, lora: Lora) -> nn.Module:
    """Freeze a model and add low-rank adapters through peft."""
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(
        r=lora.rank,
        lora_alpha=cast(int, lora.alpha),
        lora_dropout=lora.dropout,
        target_modules=lora.targets,
        task_type="CAUSAL_LM",
    )
    return get_peft_model(cast(Any, model), config)


def make_config(model_type: str, options: dict[str, Option]) -> Any:
    """A Hugging Face config that refuses options it does not know.

    Raises:
        ValueError: The unknown name, and the nearest known one.
    """
    from transformers import AutoConfig
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES

    if model_type not in CONFIG_MAPPING_NAMES:
        raise ValueError(f"unknown model_type {model_type!r}{nearest(model_type, CONFIG_MAPPING_NAMES)}")
    known = AutoConfig.for_model(model_type)
    for name in options:
        if not hasattr(known, name):
            raise ValueError(
                f"{model_type} has no option {name!r}{nearest(name, known.to_dict())}"
            )
    return AutoConfig.for_model(model_type, **options)


def nearest(name: str, known: Any) -> str:
    """A hint at the most similar known name, or nothing."""
    close = get_close_matches(name, list(known), 1)
    return f"; did you mean {close[0]!r}?" if close else ""


def check_vocabulary(tokenizer_size: int, vocab_size: int, where: str) -> None:
    """Refuse a tokenizer that has more ids than the embedding has rows."""
    if tokenizer_size > vocab_size:
        raise ValueError(
            f"the tokenizer has {tokenizer_size} ids, the embedding ({where}) only {vocab_size} rows"
        )


def check_source(source: str) -> None:
    """Refuse a local folder that does not exist before the hub is asked for it."""
    looks_local = source.startswith((".", "/", "~")) or source.count("/") != 1
    if looks_local and "/" in source and not Path(source).expanduser().is_dir():
        raise FileNotFoundError(
            f"no model folder {source}; configs take its root from the variable TRAINER_MODELS"
        )


def check_attention(model: Any, attention: Attention) -> None:
    """Refuse an architecture that cannot keep packed documents apart."""
    if attention == "documents" and not getattr(model, "_supports_attention_backend", False):
        raise ValueError(
            f"{type(model).__name__} has its own attention code and would see across packed "
            "documents; set attention to 'sdpa' or 'eager' if it reads position_ids, and check"
        )


def check_plain_head(model: Any) -> None:
    """Refuse chunks of the loss where logits are more than one linear layer."""
    config = model.config
    for name in ("final_logit_softcapping", "logit_scale", "logits_scaling"):
        if getattr(config, name, None) not in (None, 1, 1.0):
            raise ValueError(f"loss_chunk needs a plain output layer, but {name} is set")


