"""LMFusion as a Lightning system: which losses, which parameters, what to log."""

from collections.abc import Collection, Iterable
from functools import cached_property
from typing import Any, cast

import torch
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable
from torch import Tensor, nn
from typing_extensions import override

from modules.base.optimizers import decayed_or_not
from modules.base.system import constant
from modules.diffusion.process import Prediction, min_snr_weight
from modules.diffusion.schedule import CosineSchedule, Schedule
from modules.lmfusion.batch import ImageTextBatch, PromptBatch
from modules.lmfusion.boi import boi_loss, sample_positions
from modules.lmfusion.dummy_image import with_image
from modules.lmfusion.evaluate import ImageTextMetrics, ImageTextTestRun, mean_losses
from modules.lmfusion.export import ExportedLMFusion
from modules.lmfusion.generation.batch import GenerationPipeline
from modules.lmfusion.generation.decode_latents import Pixels
from modules.lmfusion.generation.generate import Generation
from modules.lmfusion.loss import image_loss, text_loss
from modules.lmfusion.network.fusion import FusionNetwork, Predicted
from modules.lmfusion.network.mask import Runs
from modules.lmfusion.noise import (
    Generators,
    Noised,
    add,
    draw_steps,
    largest_readable_step,
    own_generators,
)
from modules.metrics.image.frechet_metric import reference
from modules.nn.builder import Builder


class LMFusion(ExportedLMFusion):
    """Train image experts next to a frozen language model (Shi et al., 2024).

    Args:
        network: Builds the network; called once, under the strategy's own context.
        tokenizer: Local folder or hub id; the same as the data's.
        schedule: Signal left at each diffusion step.
        prediction: What the network predicts of an image: the paper's eps, v or x_0.
        image_weight: The paper's lambda.
        text_weight: Weight of the text loss.
        boi_weight: Weight of the part of the text loss that teaches, next to a frozen language
            model, when to open an image (see `boi`); at `text_weight` both are the whole text loss.
            At 0 the network generates images only on request.
        read_signal: Least signal left, abar, in an image that is predicted and comes before its
            caption. The default is step 500 of the cosine schedule's 1000 (Transfusion, table 8); 1
            leaves the image clean, to be copied, which only a network that predicts x_0 can learn.
            Unused if the data make such images context.
        min_snr: Bound of the min-SNR weights (Hang et al., 2023); None for weights of 1.
        text_ratio: Learning rate of a trained text path, relative to that of the images.
        optimizer: Builds the optimizer from the trainable parameters.
        scheduler: Builds the learning-rate schedule from that optimizer.
        generation: Options of generation.
        vae: Local folder or hub id of the autoencoder that made the data's latents, to decode
            images; None if latents are pixels.
        test_metrics: What the test measures of generated images and captions; None for losses and
            perplexity alone.
        compile: Whether to compile the network with torch.compile.
    """

    calls_by_data = True

    def __init__(
        self,
        network: Builder[[], FusionNetwork],
        tokenizer: str,
        schedule: Schedule = CosineSchedule(),  # noqa: B008 - frozen
        prediction: Prediction = "eps",
        image_weight: float = 5.0,
        text_weight: float = 1.0,
        boi_weight: float = 0.0,
        read_signal: float = 0.493,
        min_snr: float | None = None,
        text_ratio: float = 1.0,
        optimizer: OptimizerCallable = torch.optim.AdamW,
        scheduler: LRSchedulerCallable = constant,
        generation: Generation = Generation(),  # noqa: B008 - frozen
        vae: str | None = None,
        test_metrics: ImageTextMetrics | None = None,
        compile: bool = False,
    ):
        super().__init__(optimizer, scheduler, compile)
        if not 0 < read_signal <= 1:
            raise ValueError(f"read_signal must lie in (0, 1], got {read_signal}")
        if read_signal == 1 and prediction != "x_0":
            raise ValueError(
                f"read_signal is 1, but no {prediction} can be told from a clean image: predict "
                "x_0, or let such images be context (data.init_args.image_first: clean)"
            )
        generation.sampler(schedule, prediction)  # refused before anything is trained
        self.save_hyperparameters()
        self.make_network = network
        self.tokenizer_source = tokenizer
        self.schedule = schedule
        self.prediction = prediction
        self.image_weight = image_weight
        self.text_weight = text_weight
        self.boi_weight = boi_weight
        self.read_signal = read_signal
        self.min_snr = min_snr
        self.text_ratio = text_ratio
        self.generation = generation
        self.pixels = Pixels(vae)
        self.test_metrics = test_metrics
        self.meter.unit = "images"

    @override
    def build(self) -> FusionNetwork:
        network = self.make_network()
        if self.boi_weight and not network.freeze_text:
            raise ValueError(
                f"boi_weight is {self.boi_weight}, but the language model is trained, and BOI's "
                "row with it: leave it at 0"
            )
        return network

    @override
    def hidden(self) -> Iterable[nn.Parameter]:
        return self.fusion.blocks.parameters()

    @override
    def parameter_groups(self) -> list[dict[str, Any]]:
        text = {id(p) for p in self.fusion.text_parameters()}
        trained = [p for p in self.parameters() if p.requires_grad]
        hidden = list(self.hidden())
        image = decayed_or_not([p for p in trained if id(p) not in text], hidden)
        tuned = [p for p in trained if id(p) in text]
        return image + decayed_or_not(tuned, hidden, lr_ratio=self.text_ratio)

    # Losses

    def training_step(self, batch: ImageTextBatch, batch_idx: int) -> Tensor:
        """L_text + lambda L_image, each averaged over the targets of the whole step (sec. 3.2)."""
        batch = self.with_image(batch)
        self.fusion.check_range(self.runs(batch).longest())
        noised = self.noise(batch)
        out = self.predict_noise(batch, noised, read_prefix=self.boi_weight > 0)
        count, whole = batch["num_targets"], batch["step_targets"]
        image = self.image_total(batch, noised, out)
        text = self.later_text_total(batch, out)
        loss = self.image_weight * self.step_mean(image, whole["image"])
        loss = loss + self.text_weight * self.step_mean(text, whole["text"])
        if out.prefix_WD is not None:
            when = sample_positions(self.runs(batch), batch["row_D"]).to(self.device)
            boi = boi_loss(self.fusion.logits, out.prefix_WD, batch["label_T"], when)
            loss = loss + self.boi_weight * self.step_mean(boi, whole["text"])
        self.meter.add("loss", loss, 1)
        self.meter.add("image", image, count["image"])
        self.meter.add("text", text, count["later"] if self.fusion.freeze_text else count["text"])
        if out.prefix_WD is not None:
            self.meter.add("prefix", boi, when.num_positions)
        self.meter.num_targets += count["image"]
        return loss

    def with_image(self, batch: ImageTextBatch) -> ImageTextBatch:
        """The batch, with a dummy image if it has no image (see `dummy_image`)."""
        patchifier = self.fusion.patchifier
        size = patchifier.shape, patchifier.num_patches
        has_image = len(batch["is_target_I"]) > 0
        return batch if has_image else cast(ImageTextBatch, with_image(batch, *size))

    def noise(self, batch: ImageTextBatch, generator: Generators = None) -> Noised:
        """The batch's images, noised to random steps."""
        which, num_steps = (batch["is_target_I"], batch["is_first_I"]), self.schedule.num_steps
        limit = self.largest_readable_step if batch["num_read"] else None
        step_I = draw_steps(*which, num_steps, limit, generator)
        return add(batch["latent_ICHW"], step_I, self.schedule, self.prediction, generator)

    @cached_property
    def largest_readable_step(self) -> int:
        """Largest step of images that come before their captions."""
        return largest_readable_step(self.schedule, self.read_signal)

    def predict_noise(
        self, batch: ImageTextBatch, noised: Noised, read_prefix: bool = False
    ) -> Predicted:
        """Forward pass of the network over a batch."""
        where = batch["token_T"], batch["position_S"]
        images = noised.latent_ICHW, noised.step_I
        more = {"read_prefix": read_prefix, **self.fusion.extras(batch)}
        out: Predicted = self.fusion(*where, *images, self.runs(batch), **more)
        return out

    def image_total(self, batch: ImageTextBatch, noised: Noised, out: Predicted) -> Tensor:
        """Sum of the image losses."""
        weight_I = batch["is_target_I"].float()
        if self.min_snr is not None:
            weight_I = weight_I * min_snr_weight(self.prediction, noised.abar_I, self.min_snr)
        return image_loss(out.noise_ICHW, noised.target_ICHW, weight_I)

    def later_text_total(self, batch: ImageTextBatch, out: Predicted) -> Tensor:
        """Sum of the text losses that have a gradient.

        The loss on frozen text before the first image has none; its logits are not even computed.
        All text counts in the denominator, as in the paper's objective.
        """
        frozen = self.fusion.freeze_text
        if frozen and batch["num_targets"]["later"] == 0:
            return self.fusion.boi_output.sum() * 0.0
        label_L = batch["label_T"][batch["num_prefix"] if frozen else 0 :]
        return text_loss(self.fusion.logits(out.later_LD), label_L)

    @staticmethod
    def runs(batch: ImageTextBatch) -> Runs:
        """The segments of a batch."""
        return Runs(batch["kind_N"], batch["document_N"], batch["length_N"])

    # Evaluation

    @override
    def validated(self) -> Collection[str]:
        return ("validate/text", "validate/perplexity", "validate/image")

    def on_validation_epoch_start(self) -> None:
        """Start the sums of text loss, image loss and their counts."""
        self.evaluation = self.sum_over_ranks(torch.zeros(4))

    def validation_step(self, batch: ImageTextBatch, batch_idx: int) -> None:
        """Add the losses of a batch, at fixed steps and noise of each image.

        These depend neither on batches nor on ranks.
        """
        noised = self.noise(batch, own_generators(self.runs(batch), batch["row_D"]))
        out = self.predict_noise(batch, noised, read_prefix=self.fusion.freeze_text)
        hidden = out.later_LD if out.prefix_WD is None else torch.cat([out.prefix_WD, out.later_LD])
        self.evaluation[0] += text_loss(self.fusion.logits(hidden), batch["label_T"])
        self.evaluation[1] += batch["num_targets"]["text"]
        weight_I = batch["is_target_I"].float()
        self.evaluation[2] += image_loss(out.noise_ICHW, noised.target_ICHW, weight_I)
        self.evaluation[3] += batch["num_targets"]["image"]

    def on_validation_epoch_end(self) -> None:
        """Log the exact means over all ranks."""
        self._log_evaluation("validate", {})

    def on_test_epoch_start(self) -> None:
        """Start the sums and the test metrics."""
        self.on_validation_epoch_start()
        self.test_run: ImageTextTestRun | None = None
        if self.test_metrics is not None:
            self.test_run = self.test_metrics.begin(self.device, reference(self.trainer))

    def test_step(self, batch: ImageTextBatch, batch_idx: int) -> None:
        """Add the losses of a batch, and generate images and captions for it."""
        self.validation_step(batch, batch_idx)
        if self.test_run is not None:
            self.test_run.add(batch, self.pipeline)

    def on_test_epoch_end(self) -> None:
        """Log the exact means over all ranks, and the test metrics."""
        more = self.test_run.row(self.sum_over_ranks) if self.test_run else {}
        self._log_evaluation("test", more)

    def _log_evaluation(self, stage: str, more: dict[str, float]) -> None:
        row = mean_losses(self.sum_over_ranks(self.evaluation).tolist(), stage) | more
        self.report({f"{stage}/{name}": value for name, value in row.items()})

    # Generation

    def predict_step(self, batch: PromptBatch, batch_idx: int) -> list[dict[str, Any]]:
        """Continue the prompts; one record each, images as uint8 [H, W, 3]."""
        return self.pipeline.records(batch["prompt"])

    def draw(self, captions: list[str]) -> Tensor:
        """Pictures of captions, uint8 [N, H, W, 3]."""
        return self.pipeline.draw(captions)

    @property
    def pipeline(self) -> GenerationPipeline:
        """The pipeline with this system's options."""
        sampler = self.generation.sampler(self.schedule, self.prediction)
        return GenerationPipeline(
            self.fusion, self.tokenizer, self.pixels, sampler, self.generation
        )
