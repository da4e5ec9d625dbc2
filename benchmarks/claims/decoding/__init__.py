"""Claims of decoding."""
