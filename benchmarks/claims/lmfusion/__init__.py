"""LMFusion's claims, measured on captioned shapes."""
