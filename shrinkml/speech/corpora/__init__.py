"""Transcribed speech to train and measure on: synthetic and real tasks, and importers."""
