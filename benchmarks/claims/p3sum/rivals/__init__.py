"""Language models that write summaries from left to right, to compare with."""
