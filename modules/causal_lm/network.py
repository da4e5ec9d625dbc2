"""Any Hugging Face causal language model, reading packed rows.

Shape legend: B = rows, L = row length, D = width, V = vocabulary, T = B * L.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor, nn

from modules.causal_lm.architecture.hf_attention import register
from modules.causal_lm.architecture.options import (
    Attention,
    Option,
    as_decoder,
    check_source,
    check_text,
    check_vocabulary,
    make_config,
    own_ids,
    thaw,
)
from modules.causal_lm.architecture.quantization import check_quantize, quantize_frozen, reading
from modules.causal_lm.export import ExportedModel
from modules.causal_lm.lora import Lora, adapt, add_rows
from modules.causal_lm.loss import IGNORE, Losses, chunked, next_token_log_p, next_token_loss
from modules.causal_lm.probe.admission import Limits, admit
from modules.causal_lm.probe.verdict import Sampling
from modules.causal_lm.router import SWITCH, balance, balance_weight, check_router_options
from modules.nn.activations import checkpoint_activations
from modules.nn.document_attention import Documents
from modules.nn.quantized_linear import Bits
from modules.weights.origin import read, read_model
from modules.weights.sharding import is_sharded


class LanguageModel(ExportedModel):
    """A causal language model and what training needs of it.

    Args:
        model: A `transformers` causal language model; it gets the attention that is asked for.
        attention: How rows are attended.
        activation_checkpointing: Whether blocks are computed again in backward, to save memory.
        loss_chunk: Positions whose logits are held at a time; all at once where None.
        is_admitted: Whether the architecture has been examined under this attention.

    Raises:
        ValueError: Documents of a row would not be read as they are alone.
    """

    def __init__(
        self,
        model: nn.Module,
        attention: Attention = "documents",
        activation_checkpointing: bool = False,
        loss_chunk: int | None = None,
        is_admitted: bool = False,
    ):
        super().__init__()
        self.model = cast(Any, model)  # transformers' mixins are not typed
        self.attention = attention
        self.loss_chunk = loss_chunk
        self.limits = Limits()
        self.sampling = Sampling("sdpa" if attention == "documents" else attention)
        register()
        if not is_admitted:
            admission = admit(self.model.config, attention, loss_chunk, LanguageModel)
            self.limits, self.sampling = admission
        if self.model.config._attn_implementation != attention:
            self.model.set_attn_implementation(attention)
        if activation_checkpointing:
            checkpoint_activations(self.model)

    @property
    def vocab_size(self) -> int:
        """V, the number of rows of the embedding."""
        return int(self.model.config.vocab_size)

    @property
    def context(self) -> int | None:
        """Longest sequence the model was made for, in tokens; None where nothing says so."""
        return getattr(self.model.config, "max_position_embeddings", None)

    @property
    def readable(self) -> int | None:
        """Longest document that may be read, in tokens; None where nothing says so."""
        return min(filter(None, (self.context, self.limits.longest)), default=None)

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
        return self._nats(token_BL, label_BL, position_BL, length_N)[0]

    def training_loss(
        self, token_BL: Tensor, label_BL: Tensor, position_BL: Tensor, length_N: list[int]
    ) -> Losses:
        """The same sum, and what else the architecture's own loss adds to it in training."""
        weight = balance_weight(self.model.config)
        if not weight:
            return Losses(self.loss(token_BL, label_BL, position_BL, length_N))
        nats, router = self._nats(token_BL, label_BL, position_BL, length_N, **{SWITCH: True})
        uneven = balance(self.model, router, label_BL, length_N)
        return Losses(nats, weight * uneven * (label_BL != IGNORE).sum())

    def log_p(self, rows: tuple[Tensor, Tensor, Tensor, list[int]], temperature: float) -> Tensor:
        """Log-probability [B, L] of each label of rows as of `loss`; 0 where there is none."""
        score = partial(next_token_log_p, temperature=temperature)
        return torch.cat(self._scores(score, *rows)[0]).view_as(rows[1])

    def _nats(self, *rows: Any, **options: Any) -> tuple[Tensor, Any]:
        found, router = self._scores(next_token_loss, *rows, **options)
        return torch.stack(found).sum(), router

    def _scores(self, score: Any, *rows: Any, **options: Any) -> tuple[list[Tensor], Any]:
        token, label, position, length = rows
        if self.loss_chunk is None:
            out = self._run(self.model, token, position, length, **options)
            found = [score(out.logits.flatten(0, 1), label.flatten())]
        else:
            body, head = self.model.get_decoder(), self.model.get_output_embeddings()
            out = self._run(body, token, position, length, **options)
            flat = out.last_hidden_state.flatten(0, 1)
            found = chunked(score, head, flat, label.flatten(), self.loss_chunk)
        return found, getattr(out, "router_logits", None)

    def _run(
        self, model: nn.Module, token: Tensor, position: Tensor, length: list[int], **options: Any
    ) -> Any:
        self.limits.check_documents(length)
        if self.attention == "documents":
            options["documents"] = Documents.of(length, token.device)
        return model(input_ids=token, position_ids=position, use_cache=False, **options)

    def generate(self, token_BL: Tensor, mask_BL: Tensor, **arguments: Any) -> Tensor:
        """Continue left-padded prompts by the `generate` of transformers.

        Args:
            token_BL: Prompts, padded on the left.
            mask_BL: True where a token is real.
            arguments: Of transformers' `generate`.
        """
        with self.generating() as model:
            if "cache_implementation" not in arguments:
                arguments |= self.sampling.cache_arguments(model.config)
            return model.generate(
                input_ids=token_BL,
                attention_mask=mask_BL.long(),
                synced_gpus=is_sharded(self),
                **arguments,
            )

    @contextmanager
    def generating(self) -> Iterator[Any]:
        """The `transformers` model, set up to generate; refused where it cannot exactly."""
        self.limits.check_writing(self.model.config.model_type)
        with self.sampling.of(self.model, self.attention):
            yield self.model

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """Compile the inner model; attention stays as it is, whatever the documents' lengths."""
        self.model.compile(*args, **kwargs)


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

        sizes = {"vocab_size": tokenizer_size, **options}
        config = as_decoder(own_ids(make_config(model_type, sizes), options))
        check_vocabulary(tokenizer_size, config.vocab_size, f"options of {model_type}")
        check_router_options(model_type, options, config)
        register()
        limits, sampling = admit(config, attention, loss_chunk, LanguageModel)
        model = AutoModelForCausalLM.from_config(
            config, attn_implementation=attention, dtype=torch.get_default_dtype()
        )
        thaw(model, options)
        super().__init__(model, attention, activation_checkpointing, loss_chunk, True)
        self.limits, self.sampling = limits, sampling


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
        new_tokens: Whether ids beyond the embedding's rows get rows, which are trained, beside
            adapters too; refused where False.
        quantize: Whether frozen linear layers beneath adapters are held in 4 or 8 bits (QLoRA;
            Dettmers et al., 2023), and how.

    Raises:
        FileNotFoundError: A local folder that is not there.
        ValueError: A vocabulary smaller than the tokenizer, or `quantize` without `lora`; before
            any weight is read. An architecture of which few weights can be quantised.
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
        new_tokens: bool = False,
        quantize: Bits | None = None,
    ):
        from transformers import AutoConfig, AutoModelForCausalLM

        check_quantize(quantize, lora)
        check_source(source)
        config = as_decoder(read(AutoConfig, source, revision=revision))
        check_text(config, source)
        if not new_tokens:
            hint = "; new_tokens: true makes rows for the others"
            check_vocabulary(tokenizer_size, config.vocab_size, source, hint)
        register()
        limits, sampling = admit(config, attention, loss_chunk, LanguageModel)
        how = {"config": config, "revision": revision, "attn_implementation": attention}
        with reading(quantize) as dtype:
            model = read_model(AutoModelForCausalLM, source, dtype=dtype, **how)
        new_ids = add_rows(model, tokenizer_size)
        if lora is not None:
            model = adapt(model, lora, new_ids)
        if quantize is not None:
            quantize_frozen(model, quantize, torch.get_default_dtype())
        super().__init__(model, attention, activation_checkpointing, loss_chunk, True)
        self.limits, self.sampling = limits, sampling
        self.source = source
