"""Jobs and their events, kept."""
