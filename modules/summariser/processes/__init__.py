"""How summaries are corrupted in training, and what a step of generation makes of predictions."""
