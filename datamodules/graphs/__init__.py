"""Graph problems in words, with exact answers (NLGift, arXiv 2406.15992)."""
