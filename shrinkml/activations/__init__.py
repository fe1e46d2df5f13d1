"""Rounding of activations to few bits: the numbers that layers hand to each other, as integer arithmetic has them."""
