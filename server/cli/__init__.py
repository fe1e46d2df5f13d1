"""The commands of `shrinkml`, a file per group."""
