"""Any Hugging Face encoder with a classification head.

Shape legend: W = windows of texts, L = tokens of a window, C = classes.
"""

from pathlib import Path
from typing import Any, Literal, Protocol, cast

import torch
from torch import Tensor, nn

from modules.causal_lm.architecture import Option, check_source, check_vocabulary, make_config
from modules.causal_lm.export import questions
from modules.causal_lm.network import checkpoint_activations
from modules.nn.same_weights import refuse_other_weights

Attention = Literal["sdpa", "eager", "flash_attention_2"]
"""Implementations of transformers."""


class Classifier(nn.Module):
    """An encoder and what a detector needs of it.

    Args:
        model: A `transformers` model for sequence classification.
        activation_checkpointing: Whether blocks are computed again in backward, to save memory.
    """

    def __init__(self, model: nn.Module, activation_checkpointing: bool = False):
        super().__init__()
        self.model = cast(Any, model)  # transformers' mixins are not typed
        if activation_checkpointing:
            checkpoint_activations(self.model)

    @property
    def context(self) -> int | None:
        """Longest window in tokens; None where nothing says so."""
        config = self.model.config
        longest = getattr(config, "max_position_embeddings", None)
        is_shifted = config.model_type in ("roberta", "xlm-roberta", "camembert", "longformer")
        # their positions begin behind that of the padding
        return longest - config.pad_token_id - 1 if longest and is_shifted else longest

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
        return logits

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """Compile the inner model."""
        self.model.compile(*args, **kwargs)

    def export(self, folder: Path, tokenizer: Any, classes: list[str]) -> None:
        """Write a Hugging Face folder.

        Args:
            folder: Where to write.
            tokenizer: Written beside the weights.
            classes: Names of the classes, by number.
        """
        self.model.config.id2label = dict(enumerate(classes))
        self.model.config.label2id = {name: number for number, name in enumerate(classes)}
        self.model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)

    @torch.no_grad()
    def answers(self) -> Tensor:
        """Logits [W, C] of a few windows, one of them padded, as in training."""
        token_WL, mask_WL = self._questions()
        return self(token_WL, mask_WL)

    @torch.no_grad()
    def answers_of(self, folder: Path) -> Tensor:
        """The same of an exported folder, as others load it.

        Raises:
            ValueError: A weight or the name of a class is not the one here.
        """
        from transformers import AutoModelForSequenceClassification

        fresh = AutoModelForSequenceClassification.from_pretrained(folder, dtype=self.model.dtype)
        refuse_other_weights(self.model.state_dict(), fresh.state_dict())
        if fresh.config.id2label != self.model.config.id2label:
            raise ValueError(f"the folder names its classes {fresh.config.id2label}")
        token_WL, mask_WL = (values.cpu() for values in self._questions())
        logits: Tensor = fresh.eval()(input_ids=token_WL, attention_mask=mask_WL.long()).logits
        return logits

    def _questions(self) -> tuple[Tensor, Tensor]:
        token_WL = questions(self.model.config.vocab_size, self.context, self.model.device)
        mask_WL = torch.ones_like(token_WL, dtype=torch.bool)
        mask_WL[1, -(token_WL.shape[1] // 4) :] = False
        return token_WL, mask_WL


class Builder(Protocol):
    """Makes the network when the strategy is ready for it.

    YAML gives class and options; the system adds what the tokenizer and the classes decide.
    """

    def __call__(self, tokenizer_size: int, pad: int, num_classes: int) -> Classifier:
        """Build it."""


class FromConfig(Classifier):
    """An encoder from scratch.

    Args:
        tokenizer_size: Number of token ids; given by the system.
        pad: Token id of the padding; given by the system.
        num_classes: Number of classes; given by the system.
        options: Options of the Hugging Face config, such as hidden_size.
        model_type: Hugging Face name of the architecture.
        attention: How windows are attended.
        activation_checkpointing: Whether blocks are computed again in backward.

    Raises:
        ValueError: An unknown architecture or option, or a vocabulary smaller than the tokenizer.
    """

    def __init__(
        self,
        tokenizer_size: int,
        pad: int,
        num_classes: int,
        options: dict[str, Option],
        model_type: str = "modernbert",
        attention: Attention = "sdpa",
        activation_checkpointing: bool = False,
    ):
        from transformers import AutoModelForSequenceClassification

        known = make_config(model_type, {})
        marks = {name: pad for name in MARKS if hasattr(known, name)}  # ours come with the data
        sizes = {"vocab_size": tokenizer_size, "num_labels": num_classes}
        config = make_config(model_type, {**sizes, **marks, **options})
        check_vocabulary(tokenizer_size, config.vocab_size, f"options of {model_type}")
        model = AutoModelForSequenceClassification.from_config(
            config, attn_implementation=attention, dtype=torch.get_default_dtype()
        )
        super().__init__(model, activation_checkpointing)


MARKS = tuple(f"{mark}_token_id" for mark in ("pad", "bos", "eos", "cls", "sep"))
"""Token ids of configs, which must be within the vocabulary."""


class Pretrained(Classifier):
    """A pretrained encoder, trained further as a whole; a head that does not fit is made anew.

    Args:
        tokenizer_size: Number of token ids; given by the system.
        pad: Token id of the padding; given by the system.
        num_classes: Number of classes; given by the system.
        source: Local folder or hub id.
        revision: Branch, tag or commit on the hub.
        attention: How windows are attended.
        activation_checkpointing: Whether blocks are computed again in backward.

    Raises:
        FileNotFoundError: A local folder that is not there.
        ValueError: A vocabulary smaller than the tokenizer; before any weight is read.
    """

    def __init__(
        self,
        tokenizer_size: int,
        pad: int,
        num_classes: int,
        source: str,
        revision: str = "main",
        attention: Attention = "sdpa",
        activation_checkpointing: bool = False,
    ):
        from transformers import AutoConfig, AutoModelForSequenceClassification

        check_source(source)
        config = AutoConfig.from_pretrained(source, revision=revision, num_labels=num_classes)
        check_vocabulary(tokenizer_size, config.vocab_size, source)
        if getattr(config, "pad_token_id", None) is None:
            config.pad_token_id = pad
        model = AutoModelForSequenceClassification.from_pretrained(
            source,
            config=config,
            revision=revision,
            attn_implementation=attention,
            dtype=torch.get_default_dtype(),
            ignore_mismatched_sizes=True,  # a head of another number of classes is made anew
        )
        super().__init__(model, activation_checkpointing)
