"""What happens around a run: files, ranks, restarts, messages."""
