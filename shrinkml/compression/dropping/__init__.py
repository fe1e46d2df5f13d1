"""Dropping of residual branches: which a model has, what stands in their place, and what they cost."""
