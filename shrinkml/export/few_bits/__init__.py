"""Matrices of few bits in exported graphs."""
