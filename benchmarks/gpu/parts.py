"""The parts, the most valuable first, with the most seconds that each may take."""

from benchmarks.gpu import fusion_8b, generation, gradients, machine, overhead, strategies, training
from benchmarks.gpu.part import Part

PRELOADED = ["torch", "lightning", "transformers", "cli", "benchmarks.gpu.parts"]
"""What the server imports from which processes are forked."""

PARTS = (
    Part("machine", machine.measure, 40),
    Part("fusion_8b", fusion_8b.measure, 130),
    Part("fusion_step", training.fusion_step, 60),
    Part("model_flops", training.language_model, 50),
    Part("overhead", overhead.measure, 75),
    Part("attention", training.hybrid_attention, 40),
    Part("fsdp2", strategies.fsdp2, 45),
    Part("deepspeed", strategies.deepspeed, 60, needs_cuda=True),
    Part("cached_decoding", generation.cached, 40),
    Part("combined_decoding", generation.combined, 75),
    Part("gradient_similarity", gradients.similarity, 40),
    Part("simplex_step", generation.simplex, 40),
    Part("fusion_counts", gradients.fusion_counts, 40),
    Part("loader", overhead.loader, 40),
    Part("compiled", training.compiled, 90, needs_cuda=True),
)
"""Each by `--part NAME` alone."""
