"""Detectors of machine-written text, and which of them transfer to generators they never saw."""
