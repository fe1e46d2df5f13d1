"""Measurements of a recogniser: word errors, latency, speed in every runtime."""
