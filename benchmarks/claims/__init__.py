"""One script a paper's headline, at laptop scale: `python -m benchmarks.claims.NAME`."""
