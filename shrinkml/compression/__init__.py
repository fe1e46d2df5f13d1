"""What makes a model smaller: plans, their cost, factorization and surgery."""
