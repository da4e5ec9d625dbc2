"""Images as codes of a codebook, or as pixels."""
