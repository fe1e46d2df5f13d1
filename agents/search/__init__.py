"""One search: its problem, what judges plans, what is recorded and found."""
