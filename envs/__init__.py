"""The rank search as a gymnasium environment."""
