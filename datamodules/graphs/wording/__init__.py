"""How a graph is told in words, and read back from them."""
