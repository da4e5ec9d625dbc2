"""Claims of detectors."""
