"""Where searches run: in this process, or under Ray."""
