"""Users: their tokens (in memory, in a database), and who asks."""
