"""Places that searches run in: this process, or Ray."""
