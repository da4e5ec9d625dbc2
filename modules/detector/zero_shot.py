"""Zero-shot detectors: scores from the token statistics of a causal language model.

A higher score means more likely written by a machine. The formulas are over the sums of
`modules.causal_lm.token_statistics.TokenSums`; T is the number of tokens of a text.
"""

from abc import abstractmethod
from typing import Any

from torch import Tensor
from typing_extensions import override

from modules.causal_lm.network import LanguageModel
from modules.causal_lm.token_statistics import TokenSums, token_sums
from modules.causal_lm.tokens.same_tokens import check_tokens, own_tokenizer, read_from
from modules.causal_lm.tokens.vocabulary import vocabulary_size
from modules.detector.method import DetectionMethod
from modules.nn.builder import Builder
from modules.weights.origin import read_tokenizer


class ZeroShot(DetectionMethod):
    """A score from a language model's token statistics.

    Args:
        network: Builds the scoring model p.
        tokenizer: Folder or hub id of its tokenizer.
        reference: Builds the reference model q, which must have the same vocabulary; the scoring
            model if None.
        reference_tokenizer: Folder or hub id of its tokenizer, for that comparison; the one in the
            folder of its weights if None.
        max_length: Maximum tokens of a row; longer texts are scored in several rows.
        batch_size: Rows of a forward pass.

    Raises:
        ValueError: A model was trained with another vocabulary, by the strings of its tokens, or it
            is not known with which.
    """

    def __init__(
        self,
        network: Builder[[int], LanguageModel],
        tokenizer: str,
        reference: Builder[[int], LanguageModel] | None = None,
        reference_tokenizer: str | None = None,
        max_length: int = 512,
        batch_size: int = 16,
    ):
        super().__init__()

        self.tokenizer: Any = read_tokenizer(tokenizer)
        size = vocabulary_size(self.tokenizer)
        self.model = network(size).requires_grad_(False)
        other = None if reference is None else reference(size)
        self.other = None if other is None else other.requires_grad_(False)
        contexts = [model.context for model in (self.model, self.reference) if model.context]
        self.max_length = min([max_length, *contexts])
        self.batch_size = batch_size
        sizes = (self.model.vocab_size, self.reference.vocab_size)
        if sizes[0] != sizes[1]:
            raise ValueError(f"the models must have the same tokens, got {sizes[0]} and {sizes[1]}")
        self._check_tokens(reference_tokenizer)

    def _check_tokens(self, reference_tokenizer: str | None) -> None:
        """Compare the vocabularies of both models with that of the tokenizer."""
        source = read_from(self.model)
        theirs = own_tokenizer(source)
        if theirs is not None:
            check_tokens(self.tokenizer, theirs, f"the scoring model {source}")
        if self.other is None or not (source := reference_tokenizer or read_from(self.other)):
            return
        theirs = own_tokenizer(source)
        if theirs is None:
            raise ValueError(
                f"{source} has no tokenizer that says what its tokens are: name it as "
                "`reference_tokenizer`"
            )
        check_tokens(self.tokenizer, theirs, f"the reference model {source}")

    @property
    def reference(self) -> LanguageModel:
        """The reference model q."""
        return self.model if self.other is None else self.other

    @override
    def scores(self, texts: list[str]) -> Tensor:
        quiet = {"return_attention_mask": False, "return_token_type_ids": False, "verbose": False}
        ids = self.tokenizer(texts, add_special_tokens=False, **quiet)["input_ids"]
        start = self.tokenizer.bos_token_id
        start = self.tokenizer.eos_token_id if start is None else start
        sizes = (self.max_length, self.batch_size)
        return self.score(token_sums(self.model, self.reference, ids, start, *sizes))

    @abstractmethod
    def score(self, sums: TokenSums) -> Tensor:
        """The score of each text, [N]; NaN for one without tokens."""


class LogLikelihood(ZeroShot):
    """Mean of log p(x_t): machines choose likely tokens (Solaiman et al., 2019)."""

    @override
    def score(self, sums: TokenSums) -> Tensor:
        return sums.log_p / sums.count


class LogRank(ZeroShot):
    """Minus the mean of log r_t (Mitchell et al., 2023, sec. 5, baseline)."""

    @override
    def score(self, sums: TokenSums) -> Tensor:
        return -sums.log_rank / sums.count


class Entropy(ZeroShot):
    """Mean entropy of the next token, which was higher for machines (Mitchell et al., 2023)."""

    @override
    def score(self, sums: TokenSums) -> Tensor:
        return sums.entropy / sums.count


class FastDetectGPT(ZeroShot):
    """Conditional probability curvature in its analytic form (Bao et al., 2024).

    (sum log p(x_t) - sum m_t) / sqrt(sum v_t) with mean m_t and variance v_t of log p under the
    reference model: how much likelier the text is than samples of the reference.
    """

    @override
    def score(self, sums: TokenSums) -> Tensor:
        return (sums.log_p - sums.mean) / sums.variance.sqrt()


class Binoculars(ZeroShot):
    """Minus log-perplexity over cross-perplexity (Hans et al., 2024).

    -(mean -log p(x_t)) / (mean of -sum_v q(v) log p(v)): the reference is the paper's observer, the
    scoring model its performer, of which the perplexity is taken, as in the authors' code.
    """

    @override
    def score(self, sums: TokenSums) -> Tensor:
        return -sums.log_p / sums.mean
