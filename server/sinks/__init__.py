"""Sinks: the events of a job, written as well for programs that draw what they tell."""
