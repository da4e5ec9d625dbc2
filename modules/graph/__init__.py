"""Graph reasoning and how it transfers (NLGift, arXiv 2406.15992)."""
