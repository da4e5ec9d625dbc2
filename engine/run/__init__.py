"""One run: its folder, its trainer, its signals, its whole steps and its weights."""
