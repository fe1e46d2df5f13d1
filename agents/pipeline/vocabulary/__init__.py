"""Trimming of the vocabulary of a job's model, before anything is factorized."""
