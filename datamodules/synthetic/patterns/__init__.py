"""Documents of which some can only be predicted from their own beginning, and which these are."""
