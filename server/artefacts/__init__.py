"""Files that a job leaves for download, and their stores (in memory, in a folder)."""
