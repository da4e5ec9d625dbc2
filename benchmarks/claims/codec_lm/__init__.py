"""Claims of JPEG-LM and AVC-LM."""
