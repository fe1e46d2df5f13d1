"""The HTTP API, a file per group of paths."""
