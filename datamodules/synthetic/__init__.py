"""Data that are generated, so that nothing needs to be downloaded."""
