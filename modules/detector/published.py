"""A published classifier as a detector, with its own tokenizer; nothing is trained.

Shape legend: N = texts, W = windows of them.
"""

from typing import Any

import torch
from torch import Tensor
from typing_extensions import override

from modules.classifier.loss import text_logits
from modules.classifier.network import Attention, Pretrained
from modules.detector.method import DetectionMethod
from modules.weights.origin import read_tokenizer


class Published(DetectionMethod):
    """Log-odds of the second class by a published classifier.

    Args:
        source: Local folder or hub id of weights and tokenizer.
        labels: Class of each output, such as `{LABEL_0: human, LABEL_1: machine}`; names that say
            it themselves, such as Real and Fake, need none.
        classes: Names of the two classes, as the baseline has them.
        max_length: Tokens of a window, at most; longer texts are the mean over their windows.
        batch_size: Windows side by side.
        revision: Branch, tag or commit on the hub.
        attention: How windows are attended; the fastest way that the architecture has where None.

    Raises:
        ValueError: There is no head of two classes, or it is not known which output is which class.
    """

    def __init__(
        self,
        source: str,
        labels: dict[str, str] | None = None,
        classes: list[str] = ["human", "machine"],  # noqa: B006 - never changed
        max_length: int = 512,
        batch_size: int = 16,
        revision: str = "main",
        attention: Attention | None = None,
    ):
        super().__init__()
        self.tokenizer: Any = read_tokenizer(source, revision=revision)
        if self.tokenizer.pad_token is None:
            self.tokenizer.pad_token = self.tokenizer.eos_token
        sizes = {"tokenizer_size": len(self.tokenizer), "pad": self.tokenizer.pad_token_id or 0}
        options = {"labels": labels, "revision": revision, "attention": attention}
        network = Pretrained(**sizes, classes=list(classes), source=source, **options)  # type: ignore[arg-type]
        if network.order is None:
            raise ValueError(f"{source} has no head with the classes {' and '.join(classes)}")
        self.network = network.requires_grad_(False)
        self.max_length = min([max_length, *([network.context] if network.context else [])])
        self.batch_size = batch_size

    @override
    @torch.no_grad()
    def scores(self, texts: list[str]) -> Tensor:
        windows, count_N = self.windows(texts)
        parts = [
            self.network(*self.padded(windows[at : at + self.batch_size]))
            for at in range(0, len(windows), self.batch_size)
        ]
        logits_N2 = text_logits(torch.cat(parts), count_N).double().cpu()
        return logits_N2[:, 1] - logits_N2[:, 0]

    def windows(self, texts: list[str]) -> tuple[list[list[int]], list[int]]:
        """Token ids of the windows of all texts, each as the classifier expects it, and how many.

        Returns:
            The windows, and how many of them each text has.
        """
        cut = {"truncation": True, "max_length": self.max_length, "verbose": False}
        found = self.tokenizer(texts, return_overflowing_tokens=True, **cut)
        whose = found["overflow_to_sample_mapping"]
        return found["input_ids"], [whose.count(number) for number in range(len(texts))]

    def padded(self, windows: list[list[int]]) -> tuple[Tensor, Tensor]:
        """Windows as rows, and where they are real, both [W, L]."""
        device = next(self.network.parameters()).device
        length = max(map(len, windows))
        pad = self.tokenizer.pad_token_id
        rows = [ids + [pad] * (length - len(ids)) for ids in windows]
        real = [[True] * len(ids) + [False] * (length - len(ids)) for ids in windows]
        return torch.tensor(rows, device=device), torch.tensor(real, device=device)
