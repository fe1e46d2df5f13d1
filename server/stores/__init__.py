"""Jobs and their events, kept (in memory, in a database)."""
