"""Files that a job leaves for download, and their stores."""
