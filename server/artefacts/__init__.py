"""Files that a job leaves for download."""
