"""Recognisers of our own that are trained from nothing: everything that their families share."""
