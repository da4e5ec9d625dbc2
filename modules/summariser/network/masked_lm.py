"""Any masked language model of transformers as the network (P^3Sum, sec. 3; SSD-LM, sec. 3.1).

Shape legend: B = rows, C = article positions, S = summary positions, L = C + S, D = width,
V = vocabulary.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from typing_extensions import override

from modules.causal_lm.architecture.options import (
    Option,
    check_source,
    check_vocabulary,
    make_config,
)
from modules.nn.activations import checkpoint_activations
from modules.summariser.network.beside import Beside
from modules.summariser.network.denoiser import Denoiser
from modules.weights.origin import read, read_model


@dataclass(frozen=True)
class ReadArticle:
    """Token ids of articles, which the network reads again at every step.

    Attributes:
        token_BC: Token ids.
        mask_BC: True where a token is real.
        condition_B: Stance that each summary shall have; None for none at all.
        last: Where a pass leaves its hidden states [B, C, D] of the article; None for nowhere.
    """

    token_BC: Tensor
    mask_BC: Tensor
    condition_B: Tensor | None = None
    last: list[Tensor] | None = None


class MaskedLM(Denoiser[ReadArticle]):
    """A masked language model that sees the clean article and the noised summary after it.

    Every position attends to all others. A summary position enters as the mean of the word
    embeddings by its shares, plus a linear function of the time; its logits are those of the
    model's own head, which is computed there alone.

    Args:
        model: A `transformers` model with a head for masked language modelling.
        own_embedding: Whether shares have an embedding of their own, which starts as the words',
            as in the authors' code; else they use the words'.
        activation_checkpointing: Whether blocks are computed again in backward.
    """

    predicts_articles = True

    def __init__(
        self, model: nn.Module, own_embedding: bool = True, activation_checkpointing: bool = False
    ):
        super().__init__()
        self.model = cast(Any, model)
        words = self.model.get_input_embeddings().weight
        self.vocabulary, self.width = words.shape
        self.share_embedding = nn.Parameter(words.detach().clone()) if own_embedding else None
        self.time = nn.Linear(1, words.shape[1], dtype=words.dtype)
        if activation_checkpointing:
            checkpoint_activations(self.model)

    @property
    def context(self) -> int | None:
        """Most positions of article and summary together; None if nothing limits them."""
        longest = getattr(self.model.config, "max_position_embeddings", None)
        embeddings = getattr(self.model.base_model, "embeddings", None)
        table = getattr(embeddings, "position_embeddings", None)
        skipped = getattr(table, "padding_idx", None)  # some count from the padding index on
        return longest - (0 if skipped is None else skipped + 1) if longest else None

    @override
    def check_lengths(self, article: int, summary: int) -> None:
        if self.context is not None and article + summary > self.context:
            raise ValueError(
                f"data.init_args.article_length {article} and summary_length {summary} are more "
                f"than the {self.context} positions of the network together"
            )

    @override
    def read(
        self, article_BC: Tensor, mask_BC: Tensor, condition_B: Tensor | None = None
    ) -> ReadArticle:
        return ReadArticle(article_BC, mask_BC, condition_B)

    @override
    def repeat(self, context: ReadArticle, num: int) -> ReadArticle:
        token_BC, mask_BC = (
            one.repeat_interleave(num, 0) for one in (context.token_BC, context.mask_BC)
        )
        condition_B = context.condition_B
        return ReadArticle(
            token_BC,
            mask_BC,
            None if condition_B is None else condition_B.repeat_interleave(num, 0),
        )

    @override
    def extended(self, context: ReadArticle, token_BW: Tensor, mask_BW: Tensor) -> ReadArticle:
        beside = Beside.of(context.mask_BC, mask_BW)
        both = torch.cat([context.token_BC, token_BW], 1)
        token_BC = both.gather(1, beside.place_BL)
        return ReadArticle(token_BC, beside.mask_BL, context.condition_B)

    @override
    def forward(self, share_BSV: Tensor, time_B: Tensor, context: ReadArticle) -> Tensor:
        if len(share_BSV):
            return self.logits(share_BSV, time_B, context)
        # a model of transformers takes no empty batch: one of zeros replaces it
        share_1SV, time_1 = share_BSV.new_zeros(1, *share_BSV.shape[1:]), time_B.new_zeros(1)
        token_11 = context.token_BC.new_zeros(1, 1)
        return self.logits(share_1SV, time_1, ReadArticle(token_11, token_11 == 0))[:0]

    def logits(self, share_BSV: Tensor, time_B: Tensor, context: ReadArticle) -> Tensor:
        """Logits of one summary or more."""
        words = self.model.get_input_embeddings()
        weight = words.weight if self.share_embedding is None else self.share_embedding
        noised = share_BSV.to(weight.dtype) @ weight
        noised = noised + self.time(time_B.to(noised.dtype)[:, None])[:, None]
        mask_BS = context.mask_BC.new_ones(noised.shape[:2])
        beside = Beside.of(context.mask_BC, mask_BS)
        article = self.with_stances(words(context.token_BC), context.condition_B)
        x = beside.joined(article, noised)
        with self._head_at(beside, context):
            out = self.model(inputs_embeds=x, attention_mask=beside.mask_BL.long())
        logits: Tensor = out.logits
        return logits

    @contextmanager
    def _head_at(self, beside: Beside, context: ReadArticle) -> Iterator[None]:
        """Context in which the head sees the summary's positions alone, whatever it is made of."""

        def cut(module: nn.Module, args: Any, out: Any) -> Any:
            if context.last is not None:  # articles come first in their rows
                context.last[:] = [out.last_hidden_state[:, : context.token_BC.shape[1]].detach()]
            out.last_hidden_state = beside.summary(out.last_hidden_state)
            return out

        handle = self.model.base_model.register_forward_hook(cut)
        try:
            yield
        finally:
            handle.remove()

    @override
    def remember(self, context: ReadArticle) -> ReadArticle:
        return replace(context, last=[])

    @override
    @torch.no_grad()
    def article_logits(self, context: ReadArticle, first: int, num: int) -> Tensor:
        assert context.last is not None
        [hidden_BCD] = context.last
        with self._computed(hidden_BCD[:, first : first + num]) as hidden_BND:
            logits: Tensor = self.model(inputs_embeds=hidden_BND).logits
        return logits

    @override
    def write_encoder(self, folder: Path, max_shard_size: str) -> None:
        self.model.save_pretrained(folder, max_shard_size=max_shard_size)

    @override
    def from_encoder(self, at: str) -> dict[str, Any]:
        options = {"source": at, "own_embedding": self.share_embedding is not None}
        return {"class_path": f"{__name__}.Pretrained", "init_args": options}

    @contextmanager
    def _computed(self, hidden_BND: Tensor) -> Iterator[Tensor]:
        """Context in which the model is its head: hidden states are there instead of computed."""
        from transformers.modeling_outputs import BaseModelOutput

        base = self.model.base_model
        kept = vars(base).get("forward")  # its own, such as a compiled one
        base.forward = lambda *args, **given: BaseModelOutput(last_hidden_state=hidden_BND)
        try:
            yield hidden_BND
        finally:
            del base.forward
            if kept is not None:
                base.forward = kept


class FromConfig(MaskedLM):
    """A masked language model from scratch.

    Args:
        tokenizer_size: Number of token ids; given by the system.
        options: Options of the Hugging Face config, such as hidden_size.
        model_type: Hugging Face name of the architecture.
        own_embedding: As of `MaskedLM`.
        activation_checkpointing: As of `MaskedLM`.

    Raises:
        ValueError: An unknown architecture or option, or a vocabulary smaller than the tokenizer.
    """

    def __init__(
        self,
        tokenizer_size: int,
        options: dict[str, Option],
        model_type: str = "roberta",
        own_embedding: bool = True,
        activation_checkpointing: bool = False,
    ):
        from transformers import AutoModelForMaskedLM

        config = make_config(model_type, {"vocab_size": tokenizer_size, **options})
        check_vocabulary(tokenizer_size, config.vocab_size, f"options of {model_type}")
        model = AutoModelForMaskedLM.from_config(config, dtype=torch.get_default_dtype())
        super().__init__(model, own_embedding, activation_checkpointing)


class Pretrained(MaskedLM):
    """A published masked language model, trained as a whole.

    Args:
        tokenizer_size: Number of token ids; given by the system.
        source: Local folder or hub id.
        revision: Branch, tag or commit on the hub.
        own_embedding: As of `MaskedLM`.
        activation_checkpointing: As of `MaskedLM`.

    Raises:
        FileNotFoundError: The local folder does not exist.
        ValueError: A vocabulary smaller than the tokenizer.
    """

    def __init__(
        self,
        tokenizer_size: int,
        source: str,
        revision: str = "main",
        own_embedding: bool = True,
        activation_checkpointing: bool = False,
    ):
        from transformers import AutoConfig, AutoModelForMaskedLM

        check_source(source)
        config = read(AutoConfig, source, revision=revision)
        check_vocabulary(tokenizer_size, config.vocab_size, source)
        model = read_model(
            AutoModelForMaskedLM, source, revision=revision, dtype=torch.get_default_dtype()
        )
        super().__init__(model, own_embedding, activation_checkpointing)
