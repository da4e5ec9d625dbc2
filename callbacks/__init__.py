"""What observes a run and never changes its mathematics."""
