"""Any Hugging Face encoder with a classification head.

Shape legend: W = windows of texts, L = tokens of a window, C = classes.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn

from engine.disk.tensors import SHARD_SIZE
from modules.causal_lm.architecture.options import (
    Option,
    check_source,
    check_vocabulary,
    make_config,
)
from modules.causal_lm.export import probe_tokens
from modules.classifier.heads import order_of, own_classes
from modules.nn.activations import checkpoint_activations
from modules.weights.origin import read, read_model
from modules.weights.same_weights import refuse_other_weights

Attention = Literal["sdpa", "eager", "flash_attention_2"]
"""Implementations of transformers; where None is allowed, the fastest that an architecture has."""


class ClassifierNetwork(nn.Module):
    """An encoder with a classification head.

    Args:
        model: A `transformers` model for sequence classification.
        activation_checkpointing: Whether blocks are computed again in backward, to save memory.
        order: Index of the model's output for each class; the identity if None.
    """

    def __init__(
        self,
        model: nn.Module,
        activation_checkpointing: bool = False,
        order: list[int] | None = None,
    ):
        super().__init__()
        self.model = cast(Any, model)  # transformers' mixins are not typed
        self.order = order
        if activation_checkpointing:
            checkpoint_activations(self.model)

    @property
    def context(self) -> int | None:
        """Longest window in tokens; None if the config does not limit it."""
        longest = getattr(self.model.config, "max_position_embeddings", None)
        return longest - self.num_skipped if longest else None

    @property
    def num_skipped(self) -> int:
        """Unused positions: some architectures count from the padding index on."""
        tables = (m for name, m in self.model.named_modules() if name.endswith(POSITIONS))
        pads = [getattr(table, "padding_idx", None) for table in tables]
        return max((pad + 1 for pad in pads if pad is not None), default=0)

    def forward(self, token_WL: Tensor, mask_WL: Tensor) -> Tensor:
        """Logits [W, C] of the classes.

        Args:
            token_WL: Token ids.
            mask_WL: True where a token is real.

        Raises:
            ValueError: A window is longer than the encoder's context.
        """
        length = token_WL.shape[1]
        if self.context is not None and length > self.context:
            raise ValueError(
                f"a window of {length} tokens is more than the encoder's context of {self.context};"
                " lower data.init_args.max_length"
            )
        logits: Tensor = self.model(input_ids=token_WL, attention_mask=mask_WL.long()).logits
        return self.by_class(logits)

    def embeddings(self) -> Tensor:
        """Embeddings of the tokens as the encoder reads them, [V, D]."""
        weight: Tensor = self.model.get_input_embeddings().weight
        return weight

    def logits_of(self, x_WLD: Tensor, mask_WL: Tensor) -> Tensor:
        """Logits [W, C] of the classes of texts given by embeddings, such as mixtures of tokens.

        Args:
            x_WLD: Embeddings, marks included.
            mask_WL: True where one is real.
        """
        logits: Tensor = self.model(inputs_embeds=x_WLD, attention_mask=mask_WL.long()).logits
        return self.by_class(logits)

    def by_class(self, logits_WC: Tensor) -> Tensor:
        """Logits of the model's outputs in the order of the classes."""
        return logits_WC if self.order is None else logits_WC[:, self.order]

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """Compile the inner model."""
        self.model.compile(*args, **kwargs)

    def export(
        self,
        folder: Path,
        tokenizer: Any,
        classes: list[str],
        max_shard_size: str = SHARD_SIZE,
    ) -> None:
        """Write a Hugging Face folder.

        Args:
            folder: Where to write.
            tokenizer: Written next to the weights.
            classes: Names of the classes, by index.
            max_shard_size: Largest file of weights, such as 5GB.
        """
        outputs = self.order or range(len(classes))
        named = sorted(zip(outputs, classes, strict=True))
        self.model.config.id2label = dict(named)
        self.model.config.label2id = {name: index for index, name in named}
        self.model.save_pretrained(folder, max_shard_size=max_shard_size)
        tokenizer.save_pretrained(folder)

    @torch.no_grad()
    def probe_logits(self) -> Tensor:
        """Logits [W, C] of a few windows, one of them padded, as in training."""
        token_WL, mask_WL = self._probe_windows()
        return self(token_WL, mask_WL)

    @torch.no_grad()
    def probe_logits_of(self, folder: Path) -> Tensor:
        """The same of an exported folder, as others load it.

        Raises:
            ValueError: A weight or the name of a class is not the one here.
        """
        from transformers import AutoModelForSequenceClassification

        fresh = AutoModelForSequenceClassification.from_pretrained(folder, dtype=self.model.dtype)
        refuse_other_weights(self.model.state_dict(), fresh.state_dict())
        if fresh.config.id2label != self.model.config.id2label:
            raise ValueError(f"the folder names its classes {fresh.config.id2label}")
        token_WL, mask_WL = (values.cpu() for values in self._probe_windows())
        logits: Tensor = fresh.eval()(input_ids=token_WL, attention_mask=mask_WL.long()).logits
        return self.by_class(logits)

    def _probe_windows(self) -> tuple[Tensor, Tensor]:
        token_WL = probe_tokens(self.model.config.vocab_size, self.context, self.model.device)
        mask_WL = torch.ones_like(token_WL, dtype=torch.bool)
        mask_WL[1, -(token_WL.shape[1] // 4) :] = False
        return token_WL, mask_WL


class FromConfig(ClassifierNetwork):
    """An encoder from scratch.

    Args:
        tokenizer_size: Number of token ids; given by the system.
        pad: Token id of the padding; given by the system.
        classes: Names of the classes; given by the system.
        options: Options of the Hugging Face config, such as hidden_size.
        model_type: Hugging Face name of the architecture.
        attention: How windows are attended; the fastest way that the architecture has where None.
        activation_checkpointing: Whether blocks are computed again in backward.

    Raises:
        ValueError: An unknown architecture or option, or a vocabulary smaller than the tokenizer.
    """

    def __init__(
        self,
        tokenizer_size: int,
        pad: int,
        classes: list[str],
        options: dict[str, Option],
        model_type: str = "modernbert",
        attention: Attention | None = None,
        activation_checkpointing: bool = False,
    ):
        from transformers import AutoModelForSequenceClassification

        known = make_config(model_type, {})
        marks = {name: pad for name in MARKS if hasattr(known, name)}  # ours are the data's
        sizes = {"vocab_size": tokenizer_size, "num_labels": len(classes)}
        config = make_config(model_type, {**sizes, **marks, **options})
        check_vocabulary(tokenizer_size, config.vocab_size, f"options of {model_type}")
        with attended(model_type, attention):
            model = AutoModelForSequenceClassification.from_config(
                config, attn_implementation=attention, dtype=torch.get_default_dtype()
            )
        super().__init__(model, activation_checkpointing)


POSITIONS = "position_embeddings"
"""Name of an encoder's position table."""
MARKS = tuple(f"{mark}_token_id" for mark in ("pad", "bos", "eos", "cls", "sep"))
"""Token ids of configs, which must be within the vocabulary."""


class Pretrained(ClassifierNetwork):
    """A pretrained encoder to fine-tune as a whole, or a published classifier unchanged.

    A head with the same number of classes is kept, its outputs matched to the classes by name;
    any other head is initialised anew.

    Args:
        tokenizer_size: Number of token ids; given by the system.
        pad: Token id of the padding; given by the system.
        classes: Names of the classes; given by the system.
        source: Local folder or hub id.
        labels: Class of each output of a published head, such as `{LABEL_0: human, LABEL_1:
            machine}`; names that are known, such as Real and Fake, need none.
        new_head: Whether the head is initialised anew even if there is one that fits.
        revision: Branch, tag or commit on the hub.
        attention: How windows are attended; the fastest way that the architecture has where None.
        activation_checkpointing: Whether blocks are computed again in backward, to save memory.

    Raises:
        FileNotFoundError: The local folder does not exist.
        ValueError: A vocabulary smaller than the tokenizer, or a head whose outputs are not known
            to mean the classes; before any weight is read.
    """

    def __init__(
        self,
        tokenizer_size: int,
        pad: int,
        classes: list[str],
        source: str,
        labels: dict[str, str] | None = None,
        new_head: bool = False,
        revision: str = "main",
        attention: Attention | None = None,
        activation_checkpointing: bool = False,
    ):
        from transformers import AutoConfig, AutoModelForSequenceClassification

        check_source(source)
        config = read(AutoConfig, source, revision=revision)
        check_vocabulary(tokenizer_size, config.vocab_size, source)
        own = [] if new_head else own_classes(config)
        fits = len(own) == len(classes)
        if labels and not fits:
            raise ValueError(
                f"labels says what {source} means, but it has no head of {len(classes)} classes "
                f"that is kept: {', '.join(own) or 'none'}"
            )
        order = order_of(own, classes, labels, source) if fits else None
        if not fits:
            config.num_labels = len(classes)
        if getattr(config, "pad_token_id", None) is None:
            config.pad_token_id = pad
        with attended(source, attention):
            model = read_model(
                AutoModelForSequenceClassification,
                source,
                config=config,
                revision=revision,
                attn_implementation=attention,
                dtype=torch.get_default_dtype(),
                ignore_mismatched_sizes=True,  # a head of another size is initialised anew
            )
        if new_head:
            renew_head(model)
        super().__init__(model, activation_checkpointing, order)


@contextmanager
def attended(name: str, attention: Attention | None) -> Iterator[None]:
    """Context in which an attention that the architecture lacks is refused in one sentence."""
    try:
        yield
    except ValueError as error:
        if attention is None or "attention implementation" not in str(error):
            raise
        raise ValueError(
            f"{name} has no attention {attention!r}: leave `attention` out for what it has"
        ) from error


def renew_head(model: Any) -> None:
    """Initialise every parameter that is not the encoder's, as for a model without a head."""
    if model.base_model is model:
        raise ValueError(f"{type(model).__name__} does not say which part of it is the head")
    kept = {id(module) for module in model.base_model.modules()} | {id(model)}
    for module in model.modules():
        own = dict(module.named_parameters(recurse=False))
        if id(module) in kept or not own:
            continue
        for name, parameter in own.items():
            spread = getattr(model.config, "initializer_range", 0.02)
            setattr(module, name, nn.Parameter(spread * torch.randn_like(parameter)))
        if hasattr(module, "reset_parameters"):
            module.reset_parameters()
        model._init_weights(module)
