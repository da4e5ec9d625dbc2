"""Commands of the command line in addition to Lightning's own, one module each."""
