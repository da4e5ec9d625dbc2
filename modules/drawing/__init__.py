"""Pictures drawn line by line, without a plotting library."""
