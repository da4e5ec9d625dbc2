"""A checkpoint as a folder for others: its card, what opens it, whether it computes the same."""
