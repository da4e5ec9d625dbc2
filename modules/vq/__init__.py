"""Images as codes of a learnt codebook (van den Oord et al., 2017)."""
