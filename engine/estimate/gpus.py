"""GPUs: dense bfloat16 rate and memory, as their data sheets state them.

Sheets that print a rate "with sparsity" are halved: dense products run at half of it.
"""

from dataclasses import dataclass

from engine.config.parser import refuse
from engine.config.suggestions import nearest

GIB = 2**30


@dataclass(frozen=True)
class Gpu:
    """One kind of GPU.

    Attributes:
        rate: Dense bfloat16 rate, in FLOP/s.
        memory: Bytes of its memory.
        source: The data sheet.
    """

    rate: float
    memory: float
    source: str


GPUS = {
    "a100-40gb": Gpu(312e12, 40e9, "NVIDIA A100 Tensor Core GPU data sheet, SXM4"),
    "a100-80gb": Gpu(312e12, 80e9, "NVIDIA A100 Tensor Core GPU data sheet, SXM4"),
    "h100": Gpu(989.5e12, 80e9, "NVIDIA H100 Tensor Core GPU data sheet, SXM5: 1,979 sparse"),
    "h100-96gb": Gpu(989.5e12, 96e9, "H100 SXM5 with 96 GB, as torchtitan's benchmarks have it"),
    "h200": Gpu(989.5e12, 141e9, "NVIDIA H200 Tensor Core GPU data sheet, SXM: 1,979 sparse"),
    "b200": Gpu(2250e12, 180e9, "NVIDIA DGX B200 data sheet: 36 PFLOPS sparse, 1,440 GB of eight"),
    "l40s": Gpu(362e12, 48e9, "NVIDIA L40S data sheet: 733 sparse, 362.05 dense"),
    "a10g": Gpu(70e12, 24e9, "NVIDIA A10G data sheet: 140 sparse"),
    "rtx4090": Gpu(165.2e12, 24e9, "NVIDIA Ada GPU architecture white paper, FP32 accumulate"),
    "v100-32gb": Gpu(125e12, 32e9, "NVIDIA V100 data sheet; float16, it has no bfloat16"),
    "mi300x": Gpu(1307.4e12, 192e9, "AMD Instinct MI300X data sheet"),
}
"""By the name that `--gpu` takes."""


def gpu_named(name: str) -> Gpu:
    """A GPU; ends with one line where nobody knows it."""
    if name not in GPUS:
        refuse(f"gpu: there is no {name}{nearest(name, list(GPUS))}; known: {', '.join(GPUS)}")
    return GPUS[name]
