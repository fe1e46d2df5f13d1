"""Stages of each step: from a look at every layer to a trained model and its gate."""
