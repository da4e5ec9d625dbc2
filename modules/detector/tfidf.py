"""TF-IDF of words or characters with logistic regression: the baseline without a network."""

from typing import Any, Literal

import torch
from torch import Tensor
from typing_extensions import override

from modules.detector.method import DetectionMethod


class Tfidf(DetectionMethod):
    """TF-IDF features and logistic regression, both of scikit-learn.

    Classes have equal weight, whatever their numbers of training texts.

    Args:
        analyzer: What is counted: words, with punctuation marks among them, or characters.
        shortest: Minimum n of the n-grams.
        longest: Maximum n.
        least_texts: Minimum number of training texts that an n-gram must occur in.
        most_features: Maximum number of n-grams, the most frequent ones.
        strength: Inverse of the L2 regularisation weight, scikit-learn's C.
        seed: Of the solver.
    """

    learns = True

    def __init__(
        self,
        analyzer: Literal["word", "char"] = "char",
        shortest: int = 2,
        longest: int = 4,
        least_texts: int = 5,
        most_features: int = 100_000,
        strength: float = 10.0,
        seed: int = 0,
    ):
        super().__init__()
        self.analyzer = analyzer
        self.span = (shortest, longest)
        self.least_texts = least_texts
        self.most_features = most_features
        self.strength = strength
        self.seed = seed
        self.model: Any = None

    @override
    def learn(self, texts: list[str], labels: list[int]) -> None:
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline

        words = {"token_pattern": r"\w+|[^\w\s]"} if self.analyzer == "word" else {}
        count = TfidfVectorizer(
            analyzer=self.analyzer,
            ngram_range=self.span,
            min_df=self.least_texts,
            max_features=self.most_features,
            sublinear_tf=True,
            lowercase=False,
            **words,
        )
        decide = LogisticRegression(
            C=self.strength, class_weight="balanced", max_iter=1000, random_state=self.seed
        )
        self.model = make_pipeline(count, decide).fit(texts, labels)

    @override
    def scores(self, texts: list[str]) -> Tensor:
        if self.model is None:
            raise RuntimeError("it is not fitted yet")
        return torch.from_numpy(self.model.decision_function(texts)).double()
