"""What a config takes, on paper: memory, operations, time, and what would make it fit."""
