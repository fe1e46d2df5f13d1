"""Decoding beyond what the generation of `transformers` does: short windows, and transcripts that never end."""
