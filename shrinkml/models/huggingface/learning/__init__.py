"""Training of models of `transformers` from nothing."""
