"""What `shrinkml` does, a file per group of commands."""
