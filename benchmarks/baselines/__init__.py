"""Plain versions that ours are compared with."""
