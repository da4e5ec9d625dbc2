"""The tasks, a module each, found by name."""
