"""Networks that predict a summary's tokens from their noised simplexes and the article."""
