"""Claims about supportive pretraining data."""
