"""Compression of a model: its sites, statistics of their inputs, decompositions, and surgery."""
