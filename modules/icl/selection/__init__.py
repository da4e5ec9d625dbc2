"""Which documents of a pool have gradients that point where a task's gradient points."""
