"""Trimming of the vocabularies of models of `transformers` to the tokens that a use needs."""
