"""What every system shares."""
