"""Agents that search inside a learned model of the evaluations."""
