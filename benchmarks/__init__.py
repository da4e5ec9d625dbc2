"""One script a claim: `python -m benchmarks.NAME`."""
