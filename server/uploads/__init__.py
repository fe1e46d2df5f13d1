"""Uploaded models and data sets: received in parts, checked, kept once for each content, and named by jobs."""
