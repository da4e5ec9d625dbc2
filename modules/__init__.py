"""Networks, losses and systems: the mathematics, one room a system."""
