"""Claims of LMFusion."""
