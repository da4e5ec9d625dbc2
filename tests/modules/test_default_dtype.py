"""Counts and positions must not depend on torch's default dtype."""

import pytest
import torch

from modules.diffusion.noise import gaussian
from modules.diffusion.schedule import CosineSchedule, LinearSchedule
from modules.lmfusion.boi import sample_positions
from modules.lmfusion.network.mask import PREFIX, Runs
from modules.lmfusion.network.patchify import TimeEmbedding, grid_waves
from modules.lmfusion.noise import draw_steps
from modules.metrics.meter import Meter
from modules.metrics.text.bert_score import rarity
from modules.nn.document_attention import Documents
from modules.vq.quantiser import VectorQuantiser


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def time_waves():
    torch.manual_seed(0)
    embedding = TimeEmbedding(4)
    for weight in embedding.parameters():
        weight.data = torch.linspace(-1, 1, weight.numel(), dtype=torch.float64).view(weight.shape)
    return embedding(torch.arange(1000)).detach()


def steps():
    images = torch.ones(4000, dtype=torch.bool)
    return draw_steps(images, ~images, 1000, None, seeded())


def boi_weights():
    torch.manual_seed(0)
    runs = Runs(kind_N=(PREFIX, PREFIX), document_N=(0, 1), length_N=(700, 303))
    return sample_positions(runs, [0, 1]).weight_K


def token_rarity():
    return rarity([[1, 2]] * 300 + [[2]] * 300, 4)


def long_mean():
    meter = Meter()
    meter.add("loss", torch.tensor(1003.0, dtype=torch.float32), 1003)
    return torch.tensor([meter.means()["loss"]], dtype=torch.float64)


def between_steps():
    return CosineSchedule(max_beta=1.0).signal(torch.arange(9) / 8.0)


def codebook():
    torch.manual_seed(0)
    quantiser = VectorQuantiser(4, 2)
    full = {"dtype": torch.float64}
    quantiser.begin(torch.arange(8, **full).view(4, 2))
    for _ in range(20):
        count, total = torch.full((4,), 3.0, **full), torch.ones(4, 2, **full)
        quantiser.update(count, total, torch.zeros_like(total))
    return quantiser.code_KD


CASES = {
    "waves of diffusion steps": time_waves,
    "waves of places": lambda: grid_waves(16, 64),
    "steps of noise": steps,
    "weights of sampled positions": boi_weights,
    "rarity of tokens": token_rarity,
    "means over many targets": long_mean,
    "running means of codes": codebook,
    "cosine schedule": lambda: CosineSchedule().signal(torch.arange(1001)),
    "cosine schedule between steps": between_steps,
    "linear schedule": lambda: LinearSchedule().betas(),
    "gaussian noise": lambda: gaussian((64,), seeded()),
    "places of documents": lambda: Documents.of([300, 517, 1031], torch.device("cpu")).inverse_T,
}  # fmt: skip


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_whole_numbers_keep_their_digits_under_any_default_dtype(case):
    wanted = case()
    torch.set_default_dtype(torch.bfloat16)
    try:
        result = case()
    finally:
        torch.set_default_dtype(torch.float32)
    assert result.dtype == wanted.dtype
    assert torch.equal(result, wanted)
