"""Generation of text and images in one sequence."""
