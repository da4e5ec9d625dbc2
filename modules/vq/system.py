"""VQ-VAE as a Lightning system: which losses, how the codebook moves, what to log."""

from collections.abc import Collection
from math import log10
from pathlib import Path
from typing import Any, TypedDict

import torch
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable
from torch import Tensor
from typing_extensions import override

from modules.base.system import System, constant
from modules.nn.builder import Builder
from modules.vq.loss import commitment, reconstruction
from modules.vq.network import RUNNING, Coded, VQNetwork, read_network, write_network
from modules.vq.quantiser import code_sums, exact, perplexity
from modules.weights.same_weights import refuse_other_weights

MEASURES = ("mse", "psnr", "commitment", "perplexity", "used")
"""Quantities that an evaluation logs."""
NUM_SUMS = 3
"""Sums of an evaluation: squared error, commitment, images."""


class ImageBatch(TypedDict):
    """Images: what a datamodule yields to train a VQ-VAE.

    B = images; outside of training there may be fewer than a batch, or none.

    Attributes:
        pixel_BCHW: Pixels in [-1, 1], float32; one channel or three.
        num_targets: B.
        step_targets: The same over all micro-batches of the optimizer step, on this rank.
        row_B: Index of each image.
        origin: Source and index of each.
    """

    pixel_BCHW: Tensor
    num_targets: int
    step_targets: int
    row_B: list[int]
    origin: list[str]


CODE = """from modules.codec_lm.codes.vq import VqCodec

codec = VqCodec("this_folder")  # its bytes of an image are the indices of codes"""
"""How an exported folder is opened, in its own repository."""


class VQVAE(System):
    """Train an autoencoder with a codebook in its middle (van den Oord et al., 2017).

    The codebook is no parameter: after every optimizer step's gradients its codes move by the sums
    over all micro-batches and ranks, so that both see the same codebook however a step is split.

    Args:
        network: Builds the network; called once, under the strategy's own context.
        commitment_weight: The paper's beta.
        free_steps: First steps without a codebook, which is then initialised from encoded images:
            codes initialised from an untrained encoder nearly collapse at first.
        optimizer: Builds the optimizer from the trainable parameters.
        scheduler: Builds the learning-rate schedule from that optimizer.
        compile: Whether to compile the network with torch.compile.
    """

    def __init__(
        self,
        network: Builder[[], VQNetwork],
        commitment_weight: float = 0.25,
        free_steps: int = 100,
        optimizer: OptimizerCallable = torch.optim.AdamW,
        scheduler: LRSchedulerCallable = constant,
        compile: bool = False,
    ):
        super().__init__(optimizer, scheduler, compile)
        self.save_hyperparameters()
        self.make_network = network
        self.commitment_weight = commitment_weight
        self.free_steps = free_steps
        self.meter.unit = "images"
        self.has_begun = False
        self.step_sums: Tensor | None = None
        self.shown: Tensor | None = None

    @override
    def build(self) -> VQNetwork:
        return self.make_network()

    @property
    def autoencoder(self) -> VQNetwork:
        """The network, once it is built."""
        assert isinstance(self.network, VQNetwork)
        return self.network

    # Training

    @override
    def on_train_start(self) -> None:
        super().on_train_start()
        self.has_begun = bool(self.autoencoder.quantiser.has_begun)

    def training_step(self, batch: ImageBatch, batch_idx: int) -> Tensor:
        """Squared error and commitment, averaged over the images of the whole step (eq. 3)."""
        pixel, num = batch["pixel_BCHW"], batch["num_targets"]
        if not self.has_begun and self.global_step >= self.free_steps:
            self.begin(pixel)
        coded: Coded = self.autoencoder(pixel, quantise=self.has_begun)
        error = total = reconstruction(coded.pixel_BCHW, pixel).sum()
        if self.has_begun:
            self.observe(coded)
            distance = commitment(coded.z_ND, coded.quantised_ND, num).sum()
            self.meter.add("commitment", distance, num)
            total = error + self.commitment_weight * distance
        self.meter.add("loss", total, num)
        self.meter.add("error", error, num)
        self.meter.num_targets += num
        return self.step_mean(total, batch["step_targets"])

    # Codebook

    @torch.no_grad()
    def begin(self, pixel_BCHW: Tensor) -> None:
        """Initialise all codes from encoded images of a batch."""
        vector_KD = self.sum_over_ranks(self.candidates(self.autoencoder.encode(pixel_BCHW)))
        self.autoencoder.quantiser.begin(vector_KD)
        self.has_begun = True

    @torch.no_grad()
    def observe(self, coded: Coded) -> None:
        """Count what a micro-batch does to the codebook, for the end of the step."""
        num_codes = self.autoencoder.quantiser.num_codes
        count_K, sum_KD = code_sums(coded.z_ND, coded.index_N, num_codes)
        vector_KD = self.candidates(coded.z_ND)
        before = 0.0 if self.step_sums is None else self.step_sums[:, : 1 + sum_KD.shape[1]]
        sums = torch.cat([count_K[:, None], sum_KD], dim=1) + before
        self.step_sums = torch.cat([sums, vector_KD], dim=1)
        self.meter.add("perplexity", perplexity(count_K), 1)

    def candidates(self, z_ND: Tensor) -> Tensor:
        """A vector for each code, drawn at random; zero where it is another rank's turn.

        Returns:
            [K, D] in double precision; summed over ranks, the same on all of them.
        """
        num_codes = self.autoencoder.quantiser.num_codes
        chosen = torch.randint(len(z_ND), (num_codes,), device=z_ND.device)
        turn_K = torch.arange(num_codes, device=z_ND.device) % self.num_ranks
        is_ours_K = turn_K == self.data_rank
        return exact(z_ND)[chosen] * is_ours_K[:, None]

    @override
    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Move the codebook; the gradients of the step are those of the old one."""
        if self.step_sums is None:
            return
        if self.skips_step:
            self.step_sums = None
            return
        width = self.autoencoder.sizes.code_size
        sums = self.sum_over_ranks(self.step_sums).split([1, width, width], dim=1)
        num_dead = self.autoencoder.quantiser.update(sums[0][:, 0], sums[1], sums[2])
        self.meter.set_latest("revived", num_dead)
        self.step_sums = None

    # Evaluation

    @override
    def validated(self) -> Collection[str]:
        return [f"validate/{name}" for name in MEASURES]

    def on_validation_epoch_start(self) -> None:
        """Start the sums, and those of every code."""
        num_codes = self.autoencoder.quantiser.num_codes
        self.evaluation = self.sum_over_ranks(torch.zeros(NUM_SUMS + num_codes))

    def validation_step(self, batch: ImageBatch, batch_idx: int) -> None:
        """Add error, commitment and codes of a batch."""
        num, pixel = batch["num_targets"], batch["pixel_BCHW"]
        if num == 0:
            return
        coded: Coded = self.autoencoder(pixel)
        bounded = coded.pixel_BCHW.clamp(-1, 1)
        self.evaluation[0] += reconstruction(bounded / 2, pixel / 2).sum()
        self.evaluation[1] += commitment(coded.z_ND, coded.quantised_ND, num).sum()
        self.evaluation[2] += num
        num_codes = self.autoencoder.quantiser.num_codes
        self.evaluation[NUM_SUMS:] += torch.bincount(coded.index_N, minlength=num_codes)
        if batch_idx == 0:
            self.shown = torch.stack([as_uint8(pixel), as_uint8(bounded)], dim=1)

    def on_validation_epoch_end(self) -> None:
        """Log the exact means over all ranks."""
        self._log_evaluation("validate")

    on_test_epoch_start = on_validation_epoch_start
    test_step = validation_step

    def on_test_epoch_end(self) -> None:
        """Log the exact means over all ranks."""
        self._log_evaluation("test")

    def _log_evaluation(self, stage: str) -> None:
        sums = self.sum_over_ranks(self.evaluation)
        error, distance, num = sums[:NUM_SUMS].tolist()
        if num == 0:
            raise ValueError(f"{stage}: there was no image")
        count_K = sums[NUM_SUMS:]
        row = {
            "mse": error / num,
            "psnr": -10 * log10(max(error / num, 1e-12)),
            "commitment": distance / num,
            "perplexity": perplexity(count_K).item(),
            "used": (count_K > 0).float().mean().item(),
        }
        self.report({f"{stage}/{name}": value for name, value in row.items()})

    # Images and export

    def predict_step(self, batch: ImageBatch, batch_idx: int) -> list[dict[str, Any]]:
        """Images and what their codes show; one record each, both as uint8 [H, W, 3]."""
        if batch["num_targets"] == 0:
            return []
        coded: Coded = self.autoencoder(batch["pixel_BCHW"])
        shown = as_uint8(coded.pixel_BCHW)
        index_BN = coded.index_N.view(len(shown), -1).tolist()
        rows = zip(batch["origin"], index_BN, as_uint8(batch["pixel_BCHW"]), shown, strict=True)
        return [
            {"prompt": origin, "codes": codes, "original": original, "continuation": image}
            for origin, codes, original, image in rows
        ]

    def draw(self, captions: list[str]) -> Tensor:
        """Images of the last validation, each beside what its codes show: uint8 [N, H, W, 3].

        Args:
            captions: As many as images are wanted, at most; their text is not used.
        """
        size = self.autoencoder.sizes.size
        if self.shown is None:
            return torch.full((1, size, size, 3), 255, dtype=torch.uint8)
        return self.shown.flatten(0, 1)[: len(captions)]

    def opens_with(self, only_trained: bool) -> dict[str, str]:
        """How an exported folder is opened."""
        return {
            "note": "An autoencoder with a codebook; its codes are the tokens of a codec.",
            "code": CODE,
        }

    def export(self, folder: Path) -> None:
        """Write a folder that `codec_lm.vq.VqCodec` reads: weights and sizes."""
        write_network(self.autoencoder, folder)

    def outputs(self) -> Tensor:
        """A few random images and the reconstructions of their codes, in one row each."""
        return shown_codes(self.autoencoder)

    def outputs_of(self, folder: Path) -> Tensor:
        """The same of an exported folder.

        Raises:
            ValueError: A weight of the folder is not the one here.
        """
        fresh = read_network(folder)
        state = {n: t for n, t in self.autoencoder.state_dict().items() if n not in RUNNING}
        refuse_other_weights(state, fresh.state_dict())
        return shown_codes(fresh)


@torch.no_grad()
def shown_codes(network: VQNetwork) -> Tensor:
    """What is to be quantised, and the images of fixed codes: [N], float32, on the CPU.

    Codes themselves may change by rounding; what they are chosen by and what they show may not.
    """
    sizes, generator = network.sizes, torch.Generator().manual_seed(0)
    device = network.quantiser.code_KD.device
    pixel = torch.rand(2, sizes.channels, sizes.size, sizes.size, generator=generator) * 2 - 1
    z_ND = network.encode(pixel.to(device))
    index_N = torch.arange(len(z_ND), device=device) % sizes.num_codes
    shown = network.decode(network.quantiser.code_KD[index_N])
    return torch.cat([z_ND.flatten(), shown.flatten()]).float().cpu()


def as_uint8(pixel_BCHW: Tensor) -> Tensor:
    """Pixels in [-1, 1] as images in RGB, uint8 [B, H, W, 3], on the CPU."""
    pixel = ((pixel_BCHW.float().clamp(-1, 1) + 1) * 127.5).round().byte()
    return pixel.expand(-1, 3, -1, -1).permute(0, 2, 3, 1).cpu()
