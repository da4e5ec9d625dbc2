"""Next-token training of any Llama-like model."""
