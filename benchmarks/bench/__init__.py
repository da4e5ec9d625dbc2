"""What benchmarks share: timing, counting, recording."""
