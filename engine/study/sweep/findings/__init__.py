"""What a sweep has found, as tables, configs and plots."""
