"""LLM judges that compare two answers."""
