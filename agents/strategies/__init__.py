"""Search strategies, one file each; `agents.strategies.strategies` has the table of all. Loads no torch."""
