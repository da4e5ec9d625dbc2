"""The parts, the most valuable first, with the most seconds that each may take."""

from benchmarks.gpu import fusion_8b, generation, gradients, machine, overhead, strategies, training
from benchmarks.gpu.part import GpuPart

PRELOADED = ["torch", "lightning", "transformers", "cli", "benchmarks.gpu.parts"]
"""What the server imports from which processes are forked."""

PARTS = (
    GpuPart("machine", machine.measure, 40),
    GpuPart("fusion_8b", fusion_8b.measure, 130),
    GpuPart("fusion_step", training.fusion_step, 60),
    GpuPart("model_flops", training.language_model, 50),
    GpuPart("overhead", overhead.measure, 75),
    GpuPart("attention", training.hybrid_attention, 40),
    GpuPart("fsdp2", strategies.fsdp2, 45),
    GpuPart("deepspeed", strategies.deepspeed, 60, needs_cuda=True),
    GpuPart("cached_decoding", generation.cached, 40),
    GpuPart("combined_decoding", generation.combined, 75),
    GpuPart("gradient_similarity", gradients.similarity, 40),
    GpuPart("simplex_step", generation.simplex, 40),
    GpuPart("fusion_counts", gradients.fusion_counts, 40),
    GpuPart("loader", overhead.loader, 40),
    GpuPart("compiled", training.compiled, 90, needs_cuda=True),
)
"""Each by `--part NAME` alone."""
