"""Commands of the command line beside Lightning's own, one module each."""
