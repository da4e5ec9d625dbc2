"""Claims about graph problems and how models learn them."""
