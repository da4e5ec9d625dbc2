"""What is found out about summaries: measures, tables, traces, pictures."""
