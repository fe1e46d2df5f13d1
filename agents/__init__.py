"""Search strategies, the staged pipeline and its executors."""
