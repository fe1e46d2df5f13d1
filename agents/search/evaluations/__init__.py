"""Evaluations of parts of plans, each made once: who judges which, and what came of it."""
