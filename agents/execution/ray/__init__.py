"""Searches under Ray Tune; the only folder that imports Ray."""
