"""Graphs of models whose activations are rounded: what a product multiplies is whole numbers on both sides."""
