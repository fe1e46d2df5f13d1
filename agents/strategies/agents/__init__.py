"""Reinforcement-learning agents of Stable-Baselines3."""
