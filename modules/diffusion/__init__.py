"""Gaussian diffusion: schedules, the forward process, samplers, guidance."""
