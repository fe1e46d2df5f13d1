"""Strategies without learning, which agents are compared with."""
