"""Images: sources, preprocessing, latents."""
