"""News articles with summaries and stances."""
