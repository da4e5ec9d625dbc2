"""JPEG-LM and AVC-LM as a Lightning system: a causal language model whose texts are files."""

from dataclasses import replace
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import torch
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import cross_entropy
from typing_extensions import override

from modules.base.system import constant
from modules.causal_lm.generate import Generation, generate
from modules.causal_lm.network import LanguageModel
from modules.causal_lm.system import CausalLM, PromptBatch, TokenBatch
from modules.codec_lm.evaluate import FileMetrics, as_images, num_references
from modules.codec_lm.generate import LegalTokens, likelihood
from modules.codec_lm.rules import Rules
from modules.codec_lm.token_kinds import kind_sums, label_kinds, whole_files
from modules.metrics.image.frechet_metric import reference
from modules.nn.builder import Builder

ANCESTRAL_SAMPLING = Generation(max_new_tokens=1024, temperature=1.0, top_k=None)
"""Samples from the model's own distribution."""


FILES = """from pathlib import Path

from engine.export.folder import open_exported

model = open_exported("this_folder")  # network, tokenizer and codec
for index, record in enumerate(model.new(4)):
    Path(f"{{index}}.{kind}").write_bytes(record["{kind}"])"""
"""Writes new files; for a codec's file extension."""


class Codec(Protocol):
    """What makes files of byte sequences, and decodes them."""

    def rules(self, tokenizer: Any) -> Rules:
        """Which tokens of a Hugging Face tokenizer may come next."""

    @property
    def file_extension(self) -> str:
        """File extension, without the dot."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the decoded file: [H, W], [H, W, 3], or frames [T, H, W, 3]."""

    def file(self, sequence: bytes) -> bytes:
        """The file of a sequence."""

    def decode(self, sequence: bytes) -> NDArray[np.uint8]:
        """The decoded file of a sequence, uint8 of that shape.

        Raises:
            OSError: It cannot be decoded.
        """

    def decoder_error(self, sequence: bytes) -> str | None:
        """First error or warning of a strict decoder; None if the file is valid."""

    def fingerprint(self) -> str:
        """A text that changes when files, or their decoding, may have changed."""


class CodecLM(CausalLM):
    """Train a language model on the bytes of compressed files (Han et al., 2024).

    Args:
        network: Builds the language model; called once, under the strategy's own context.
        tokenizer: Folder of a tokenizer of bytes as text; the same as the data's.
        codec: The same as the data's.
        optimizer: Builds the optimizer from the trainable parameters.
        scheduler: Builds the learning-rate schedule from that optimizer.
        generation: How tokens are chosen, in `predict` and for images generated during training.
            After long prefixes there are at most as many as fit into the context.
        constrained: Whether only bytes are generated that keep the file valid.
        test_metrics: Generates and evaluates new images in the test; losses alone if None.
        compile: Whether to compile the network with torch.compile.
    """

    def __init__(
        self,
        network: Builder[[int], LanguageModel],
        tokenizer: str,
        codec: Codec,
        optimizer: OptimizerCallable = torch.optim.AdamW,
        scheduler: LRSchedulerCallable = constant,
        generation: Generation = ANCESTRAL_SAMPLING,
        constrained: bool = True,
        test_metrics: FileMetrics | None = None,
        compile: bool = False,
    ):
        super().__init__(network, tokenizer, optimizer, scheduler, generation, compile)
        self.save_hyperparameters()
        self.codec = codec
        self.constrained = constrained
        self.test_metrics = test_metrics

    @override
    def opens_with(self, only_trained: bool) -> dict[str, str]:
        opened = super().opens_with(only_trained)
        kind = self.codec.file_extension
        code = FILES.format(kind=kind)
        note = f"Its texts are files: `.{kind}`, in the bytes that `system.json` describes."
        return {**opened, "pipeline_tag": "", "note": note, "code": code}

    @cached_property
    def rules(self) -> Rules:
        """The codec's rules over the vocabulary."""
        return self.codec.rules(self.tokenizer)

    # Test

    @override
    def on_test_epoch_start(self) -> None:
        """Start the sums, also by kind of token."""
        super().on_test_epoch_start()
        self.kind_sums = self.sum_over_ranks(torch.zeros(2, len(self.rules.kinds)))
        self.frechet = None
        if self.test_metrics is not None:
            real = reference(self.trainer, self.codec.fingerprint())
            self.frechet = self.test_metrics.begin(self.device, real)

    @override
    def test_step(self, batch: TokenBatch, batch_idx: int) -> None:
        """Add nats, targets and bytes of a batch, and the nats of each kind of token."""
        names = ("token_BL", "position_BL", "length_N")
        logits = self.language_model(*(batch[name] for name in names))  # type: ignore[literal-required]
        label_BL = batch["label_BL"]
        nats = cross_entropy(logits.flatten(0, 1).float(), label_BL.flatten(), reduction="none")
        self.evaluation[0] += nats.sum()
        self.evaluation[1] += batch["num_targets"]
        self.evaluation[2] += batch["num_bytes"]
        kind_BL = label_kinds(self.rules, label_BL, batch["position_BL"])
        self.kind_sums += kind_sums(nats.view_as(label_BL), kind_BL, len(self.rules.kinds))
        if self.frechet is not None:
            files = list(whole_files(self.rules, label_BL, batch["position_BL"]))
            if files:
                decoded = np.stack([in_rgb(self.codec.decode(file)) for file in files])
                self.frechet.add_real(as_images(torch.from_numpy(decoded)))

    @override
    def on_test_epoch_end(self) -> None:
        """Log the exact means over all ranks: of all tokens, and nats per token of each kind."""
        super().on_test_epoch_end()
        nats, count = self.sum_over_ranks(self.kind_sums).tolist()
        means = {n: a / b for n, a, b in zip(self.rules.kinds, nats, count, strict=True) if b}
        self.report({f"test/nats_{name}": value for name, value in means.items()})
        if self.test_metrics is not None:
            self.report(self.frechet_scores(self.test_metrics))

    def frechet_scores(self, test_metrics: FileMetrics) -> dict[str, float]:
        """The Frechet distance of generated images, with their number and that of references.

        Every rank must call. Files that cannot be decoded count as plain grey images.
        """
        assert self.frechet is not None
        drawn = unopened = 0
        ranks = self.num_ranks
        for num in test_metrics.batches(ranks):
            records = self.new(num, self.data_rank + drawn * ranks, ranks)
            self.frechet.add_drawn(as_images(stacked(records)))
            drawn += num
            unopened += sum(not record["opens"] for record in records)
        total = self.sum_over_ranks(torch.tensor([drawn, unopened])).tolist()
        names = "test/frechet_images", "test/frechet_unopened"
        references = num_references(self.frechet, self.sum_over_ranks)
        known = {"test/frechet_references": float(references)} if references else {}
        distance = self.frechet.distance(self.sum_over_ranks)
        return {"test/frechet": distance, **dict(zip(names, total, strict=True)), **known}

    # Generation

    @override
    def predict_step(self, batch: PromptBatch, batch_idx: int) -> list[dict[str, Any]]:
        """Complete the prefixes; one record each, the image last."""
        token_BL, mask_BL = batch["token_BL"], batch["mask_BL"]
        token_BN = self.write(token_BL, mask_BL, self.generators_of(batch))
        nats = likelihood(self.language_model, token_BN, mask_BL, self.rules.end)
        rows = zip(batch["prompt"], token_BN, mask_BL, nats.tolist(), strict=True)
        return [
            {"prompt": name, "nats": cost, **self.record(token_N, is_real_L)}
            for name, token_N, is_real_L, cost in rows
        ]

    def write(
        self, token_BL: Tensor, mask_BL: Tensor, generators: list[torch.Generator] | None = None
    ) -> Tensor:
        """Complete the prefixes. Token ids [B, N], left-padded, each followed by the end token."""
        how = self.within(token_BL.shape[1])
        rules = (
            [LegalTokens(self.rules, token_BL, mask_BL, how.max_new_tokens)]
            if self.constrained
            else []
        )
        model, known = self.language_model, self.tokenizer
        return generate(model, token_BL, mask_BL, known, how, rules, generators)

    def within(self, num_given: int) -> Generation:
        """Generation options after `num_given` tokens: at most as many as fit into the context."""
        how, context = self.generation, self.language_model.context
        room = how.max_new_tokens if context is None else context - num_given
        return replace(how, max_new_tokens=min(how.max_new_tokens, room)) if room > 0 else how

    def record(self, token_N: Tensor, is_real_L: Tensor) -> dict[str, Any]:
        """The prediction record of a file.

        Args:
            token_N: The file, after its padding.
            is_real_L: True for tokens of the prefix, False for padding.
        """
        given = token_N[: len(is_real_L)][is_real_L].tolist()[1:]
        written = token_N[len(is_real_L) :].tolist()
        end = self.rules.end
        has_end = end in written
        written = written[: written.index(end)] if has_end else written
        sequence = self.rules.sequence(given + written)
        image = self.shown(sequence)
        return {
            "given": len(given),
            "written": len(written),
            "has_end": has_end,
            "decoder_error": self.codec.decoder_error(sequence),
            "opens": image is not None,
            self.codec.file_extension: self.codec.file(sequence),
            "continuation": torch.from_numpy(self.grey if image is None else image),
        }

    def shown(self, sequence: bytes) -> NDArray[np.uint8] | None:
        """The decoded file, as `in_rgb` lays it out; None if it cannot be decoded."""
        try:
            return in_rgb(self.codec.decode(sequence))
        except (OSError, ValueError):
            return None

    @property
    def grey(self) -> NDArray[np.uint8]:
        """Placeholder of a file that cannot be decoded."""
        return in_rgb(np.full(self.codec.shape, 128, np.uint8))

    def draw(self, captions: list[str]) -> Tensor:
        """New images, one a caption, whose words are ignored: uint8 [N, H, W, 3]."""
        return stacked(self.new(len(captions)))

    def new(self, num: int, first: int = 0, every: int = 1) -> list[dict[str, Any]]:
        """Records of new files; a file's index and the seed decide the samples.

        Args:
            num: How many.
            first: Index of the first file.
            every: Step from one index to the next.
        """
        token_BL = torch.full((num, 1), self.rules.end, device=self.device)
        names = [f"new {first + n * every}" for n in range(num)]
        mask_BL = torch.ones_like(token_BL, dtype=torch.bool)
        token_BN = self.write(token_BL, mask_BL, self.generators(names, [0] * num))
        real = torch.ones(1, dtype=torch.bool)
        return [self.record(row.cpu(), real) for row in token_BN]


def stacked(records: list[dict[str, Any]]) -> Tensor:
    """The images of records, uint8 [N, H, W, 3]."""
    return torch.stack([record["continuation"] for record in records])


def in_rgb(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """An image in RGB, [H, W, 3], writable; for a clip, its frames side by side."""
    if image.ndim == 4:
        return np.concatenate(list(image), axis=1)
    return np.array(image if image.ndim == 3 else np.repeat(image[..., None], 3, axis=2))
