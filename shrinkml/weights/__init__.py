"""Forms of one weight matrix: dense, low rank."""
