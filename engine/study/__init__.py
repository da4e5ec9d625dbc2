"""Many runs: grids, and the launching of their commands."""
