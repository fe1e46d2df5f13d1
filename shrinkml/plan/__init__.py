"""Records of what becomes of a model: its matrices, the choice at each of them, and what that costs."""
