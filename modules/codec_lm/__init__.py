"""JPEG-LM and AVC-LM: language models of compressed files (Han et al., 2024)."""
