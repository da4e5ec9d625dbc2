"""A classifier that reads mixtures of tokens, to steer a summary (P^3Sum, sec. 3.2).

Shape legend: B = summaries, C = article positions, S = summary positions, V = vocabulary,
K = classes, D = width of the classifier.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor

from modules.causal_lm.architecture.options import check_source
from modules.causal_lm.tokens.same_tokens import own_tokenizer, strings
from modules.causal_lm.tokens.vocabulary import vocabulary_size
from modules.classifier.network import ClassifierNetwork, Pretrained
from modules.summariser.marks import Marks
from modules.summariser.network.beside import Beside, one_behind_the_other
from modules.weights.origin import source_of

Sees = Literal["summary", "article_and_summary", "predicted", "summary_and_article"]
"""What a guide reads: the summary alone, after the tokens of its article, after what the network
itself predicts at the article's positions, as P^3Sum's does, or as the first text of a pair, as
classifiers of facts do."""
ArticleLogits = Callable[[], Iterator[Tensor]]
"""Gives the network's logits at the positions of articles, some positions [B, N, V] at a time."""
SHOWN = 3
"""Tokens without a counterpart that a message shows."""


@dataclass(frozen=True)
class Guide:
    """A classifier of texts by which summaries are steered.

    Attributes:
        source: Folder or hub id of a Hugging Face classifier with its tokenizer.
        weight: Of its score among those of several guides.
        classes: Names of its classes; those of the stances where None.
        target: The class that is wanted; that which is asked of each summary where None.
        sees: What it reads.
        labels: Class of each of its outputs, where their names do not say it.
        revision: Branch, tag or commit on the hub.
        tokenizer: Folder or hub id of its tokenizer; the one beside it where None.
    """

    source: str
    weight: float = 1.0
    classes: list[str] | None = None
    target: str | None = None
    sees: Sees = "summary"
    labels: dict[str, str] | None = None
    revision: str = "main"
    tokenizer: str | None = None

    def open(self, tokenizer: Any, stances: list[str]) -> "OpenGuide":
        """The classifier, loaded and frozen.

        Args:
            tokenizer: Of the summaries.
            stances: Names of the stances, by index.

        Raises:
            FileNotFoundError: The local folder does not exist.
            ValueError: Its classes are others, it has no tokenizer, a token of the summaries has
                no counterpart, or it is to read pairs, which it distinguishes by types of tokens.
        """
        classes = list(self.classes or stances)
        if self.target is not None and self.target not in classes:
            raise ValueError(f"target {self.target!r} is none of {', '.join(classes)}")
        if self.target is None and classes != stances:
            raise ValueError(
                f"the classes of the guide {self.source} are {', '.join(classes)}, not the stances "
                f"{', '.join(stances)}: say which is wanted by `target`"
            )
        beside = (self.source, self.revision) if self.tokenizer is None else (self.tokenizer,)
        theirs = tokenizer_beside(*beside)
        network = trained_classifier(self.source, theirs, classes, self.labels, self.revision)
        index_V = counterparts(tokenizer, theirs, self.source)
        if self.sees == "summary_and_article":
            check_pairs(network, self.source)
        between = theirs.num_special_tokens_to_add(pair=True) > 3
        known, ours = replace(self, classes=classes), Marks.of(tokenizer)
        return OpenGuide(known, network, index_V, ours, Marks.of(theirs).start, between)


@dataclass
class OpenGuide:
    """A guide with its weights; no module, since checkpoints and optimizers ignore it.

    Attributes:
        guide: Its options, with the names of its classes.
        network: The classifier, frozen.
        index_V: Its id of each token of the summaries.
        marks: Marks of the summaries' tokenizer.
        start: Its id of the mark before a text.
        has_mark_between: Whether a pair has a mark before its second text, too.
    """

    guide: Guide
    network: ClassifierNetwork
    index_V: Tensor
    marks: Marks
    start: int
    has_mark_between: bool = False

    def to(self, device: torch.device) -> "OpenGuide":
        """The same on a device."""
        with torch.inference_mode(False):  # gradients pass through, also in an evaluation
            self.network.to(device)
            self.index_V = self.index_V.to(device)
        return self

    def targets(self, asked_B: Tensor) -> Tensor:
        """Index of the class that is wanted of each summary; -100 where none is."""
        if self.guide.target is None:
            return asked_B
        classes = self.guide.classes or []
        return torch.full_like(asked_B, classes.index(self.guide.target))

    def read(self, token_BC: Tensor, mask_BC: Tensor) -> Tensor:
        """Log-probabilities of the classes of plain texts, [B, K]; of what the classifier can read.

        Args:
            token_BC: Tokens of the summaries' tokenizer, marks included.
            mask_BC: True where one is real.
        """
        token_BC, mask_BC = self.beginning(token_BC, mask_BC)
        index_BC = self.index_V[token_BC]
        index_BC[:, :1] = self.start  # one mark of ours may be both start and end
        return self.network(index_BC, mask_BC).float().log_softmax(-1)

    def beginning(self, token_BC: Tensor, mask_BC: Tensor) -> tuple[Tensor, Tensor]:
        """Texts cut to the classifier's positions, their end mark kept."""
        longest = self.network.context or token_BC.shape[1]
        is_cut_B = mask_BC[:, longest:].any(1)
        token_BC = token_BC[:, :longest].clone()
        token_BC[is_cut_B, -1] = self.marks.end
        return token_BC, mask_BC[:, :longest]

    def check_lengths(self, article: int, summary: int) -> None:
        """Refuse summaries, with their articles where it sees these, that it cannot read whole.

        Args:
            article: Most tokens of an article.
            summary: Positions of a summary.

        Raises:
            ValueError: They are too long; names the options of the data.
        """
        alone, longest = self.guide.sees == "summary", self.network.context
        comes_first = self.guide.sees in ("summary", "summary_and_article")
        num = comes_first + summary + (0 if alone else article)  # a mark comes before a summary
        if longest is not None and num > longest:
            what = "summary_length" if alone else "article_length and summary_length"
            raise ValueError(
                f"the guide {self.guide.source} reads {longest} tokens, but is to read {num}: "
                f"lower data.init_args.{what}"
            )

    @torch.no_grad()
    def mixtures(self, chunks: Iterator[Tensor]) -> Tensor:
        """Embeddings of predicted logits, [B, C, D], as constants: their gradient moves nothing.

        Args:
            chunks: Logits of the positions, some at a time.
        """
        weight_VD = self.network.embeddings()[self.index_V]
        shares = (one.float().softmax(-1)[..., : len(weight_VD)] for one in chunks)
        return torch.cat([one.to(weight_VD.dtype) @ weight_VD for one in shares], 1)

    def log_p(
        self,
        share_BSV: Tensor,
        article_BC: Tensor,
        mask_BC: Tensor,
        mixture_BCD: Tensor | None = None,
    ) -> Tensor:
        """Log-probabilities of the classes, [B, K], differentiable in the shares.

        It reads what would become the text, and the end mark: the first position at which padding
        is most likely is left out with all after it, and all after the first at which the end is,
        whatever else may be there. That choice has no gradient.

        Args:
            share_BSV: Shares of the summary's tokens.
            article_BC: Tokens of the articles.
            mask_BC: True where one is real.
            mixture_BCD: What is at the positions of the articles instead.
        """
        words = self.network.embeddings()
        weight_VD = words[self.index_V]
        summary_BSD = share_BSV[..., : len(weight_VD)].to(weight_VD.dtype) @ weight_VD
        is_text_BS = self.marks.are_read(share_BSV.argmax(-1))
        if self.guide.sees == "summary_and_article":
            x, mask_BL = self.pair(summary_BSD, is_text_BS, weight_VD[article_BC], mask_BC)
            return self.network.logits_of(x, mask_BL).float().log_softmax(-1)
        if self.guide.sees == "summary":
            article_BC, mask_BC = article_BC[:, :1], torch.ones_like(mask_BC[:, :1])
        before_BCD = weight_VD[article_BC] if mixture_BCD is None else mixture_BCD
        if mixture_BCD is None:
            before_BCD[:, 0] = words[self.start]  # one mark of ours may be both start and end
        beside = Beside.of(mask_BC, is_text_BS)
        x = beside.joined(before_BCD, summary_BSD)
        return self.network.logits_of(x, beside.mask_BL).float().log_softmax(-1)

    def pair(
        self, summary_BSD: Tensor, is_text_BS: Tensor, article_BCD: Tensor, mask_BC: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Embeddings of a summary and its article as a pair, and where there are tokens.

        The summary is expected to end with its mark; the article has another before it, or none.
        """
        words, batch = self.network.embeddings(), len(mask_BC)
        start_B1D = words[self.start].expand(batch, 1, -1)
        article_BCD[:, 0] = words[self.index_V[self.marks.end]]
        stands_BC = mask_BC.clone()
        stands_BC[:, 0] = self.has_mark_between
        return one_behind_the_other(
            [start_B1D, summary_BSD, article_BCD],
            [torch.ones_like(mask_BC[:, :1]), is_text_BS, stands_BC],
        )


def check_pairs(network: Pretrained, source: str) -> None:
    """Refuse classifiers that distinguish the texts of a pair by types of tokens."""
    if getattr(network.model.config, "type_vocab_size", 0) > 1:
        raise ValueError(
            f"the guide {source} tells two texts apart by types of tokens, which mixtures do not "
            "have: let it see `article_and_summary`"
        )


def tokenizer_beside(source: str, revision: str = "main") -> Any:
    """The tokenizer of a classifier, without which its ids mean nothing.

    Raises:
        FileNotFoundError: The local folder does not exist.
        ValueError: There is none beside the weights.
    """
    check_source(source)
    tokenizer = own_tokenizer(source, revision)
    if tokenizer is None:
        raise ValueError(f"{source} holds no tokenizer, so it cannot read texts")
    return tokenizer


def trained_classifier(
    source: str,
    tokenizer: Any,
    classes: list[str],
    labels: dict[str, str] | None = None,
    revision: str = "main",
) -> Pretrained:
    """A published classifier as it is, frozen, also where gradients are off while it is loaded.

    Args:
        source: Folder or hub id.
        tokenizer: Of the classifier.
        classes: Names of the classes.
        labels: Class of each of its outputs, where their names do not say it.
        revision: Branch, tag or commit on the hub.

    Raises:
        ValueError: Its classes are others, or it has weights that were never trained.
    """
    size, pad = vocabulary_size(tokenizer), Marks.of(tokenizer).pad
    with torch.inference_mode(False):
        network = Pretrained(size, pad, classes, source, labels=labels, revision=revision)
    drawn = [name for name, one in network.model.named_parameters() if source_of(one) is None]
    if drawn:
        raise ValueError(
            f"{source} is no classifier of {', '.join(classes)}: it holds no {drawn[0]} for them"
        )
    network.eval().requires_grad_(False)
    return network


def counterparts(ours: Any, theirs: Any, source: str) -> Tensor:
    """Id in another vocabulary of each of our tokens, [V], by their strings; marks by their role.

    Special tokens without a counterpart, such as a mask, are read as unknown ones.

    Raises:
        ValueError: A token has none; counts them and shows the first.
    """
    own, other = strings(ours), theirs.get_vocab()
    found = [0 if one is None else other.get(one, -1) for one in own]
    a, b = Marks.of(ours), Marks.of(theirs)
    for mine, its in ((a.start, b.start), (a.pad, b.pad), (a.end, b.end)):  # summaries have an end
        found[mine] = its
    special = set(ours.all_special_ids)
    lost = [n for n, its in enumerate(found) if its < 0 and n not in special]
    if lost:
        shown = ", ".join(repr(own[n]) for n in lost[:SHOWN])
        raise ValueError(
            f"the guide {source} has no counterpart of {len(lost)} of {len(own)} tokens of the "
            f"summaries, such as {shown}: train one with the tokenizer {ours.name_or_path}"
        )
    return torch.tensor([theirs.unk_token_id or 0 if its < 0 else its for its in found])
