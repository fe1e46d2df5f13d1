"""The search for a plan as a decision problem, and as a gymnasium environment."""
