"""Webhooks: endpoints of users, which are told of each state that a job of theirs comes into."""
